package correlate

import "math"

// The functions below stand in for math.Exp and math.Log, whose assembly and fused multiply-adds differ between
// platforms in the last bit. Every product that is added is converted first, which forbids the compiler to fuse it.
// Accuracy is better than 1e-14 relative, far below the milli-nat to which contributions are rounded.

const (
	ln2Hi = 6.93147180369123816490e-01 // ln 2 in two parts: k·ln2Hi is exact for |k| < 2^20
	ln2Lo = 1.90821492927058770002e-10
)

// exp is e^x; below −700 it is 0, above 700 it is e^700.
func exp(x float64) float64 {
	switch {
	case x != x:
		return x
	case x < -700:
		return 0
	case x > 700:
		x = 700
	}
	k := math.Floor(float64(x*math.Log2E) + 0.5)
	r := x - float64(k*ln2Hi)
	r -= float64(k * ln2Lo)
	sum := 1.0
	for i := 14; i >= 1; i-- { // Horner's scheme on |r| ≤ 0.35
		sum = 1 + float64(float64(r*sum)/float64(i))
	}
	return math.Ldexp(sum, int(k))
}

// ln is the natural logarithm; of zero and below it is −700.
func ln(x float64) float64 {
	if x != x {
		return x
	}
	if x <= 0 {
		return -700
	}
	f, e := math.Frexp(x) // x = f·2^e, f in [½, 1)
	if f < math.Sqrt2/2 {
		f *= 2
		e--
	}
	s := (f - 1) / (f + 1) // |s| ≤ 0.172
	s2 := float64(s * s)
	sum := 0.0
	for i := 23; i >= 1; i -= 2 {
		sum = float64(s2*sum) + 1/float64(i)
	}
	k := float64(e)
	return float64(k*ln2Hi) + (float64(2*s*sum) + float64(k*ln2Lo))
}

func clamp(x, lo, hi float64) float64 { return min(max(x, lo), hi) }
