package correlate

import (
	"math"
	"testing"
)

func TestExpAndLnAgreeWithTheLibrary(t *testing.T) {
	for x := -60.0; x < 60; x += 0.0371 {
		if got, want := exp(x), math.Exp(x); math.Abs(got-want) > 1e-13*want {
			t.Fatalf("exp(%g): want %g, got %g", x, want, got)
		}
		y := math.Exp(x)
		if got, want := ln(y), math.Log(y); math.Abs(got-want) > 1e-13*math.Max(1, math.Abs(want)) {
			t.Fatalf("ln(%g): want %g, got %g", y, want, got)
		}
	}
	if exp(-1e9) != 0 || ln(0) != -700 || ln(1) != 0 || exp(0) != 1 {
		t.Errorf("edges: exp(-1e9)=%g ln(0)=%g ln(1)=%g exp(0)=%g", exp(-1e9), ln(0), ln(1), exp(0))
	}
}
