package correlate

import (
	"math"
	"math/rand/v2"
	"testing"
)

// The sorted window says what sorting all of it would, wherever it is moved to, gaps and ties included.
func TestUsualIsWhatSortingSays(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	v := make([]float64, 400)
	for i := range v {
		if v[i] = math.Round(rng.NormFloat64()*8) / 4; rng.IntN(9) == 0 {
			v[i] = math.NaN()
		}
	}
	var u usual
	var buf [beforeMax]float64
	k := 200
	for range 3000 {
		if k += rng.IntN(41) - 20; rng.IntN(20) == 0 || k < 0 || k > len(v) {
			k = rng.IntN(len(v) + 1)
		}
		lo := max(0, k-beforeMax)
		sorted := u.of(v, lo, k)
		med, mad := sortedMAD(sorted)
		wantMed, wantMAD, n := medianMAD(v[lo:k], buf[:0])
		if n != len(sorted) || n > 0 && (med != wantMed || mad != wantMAD) || n == 0 && (med == med || mad == mad) {
			t.Fatalf("before %d: %d samples, median %v, MAD %v; want %d, %v, %v", k, len(sorted), med, mad, n, wantMed, wantMAD)
		}
		if n > 0 && sortedTail(sorted, med) != upperTail(v[lo:k], med, buf[:0]) {
			t.Fatalf("before %d: another tail", k)
		}
	}
}
