package siege

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"fieldgate/cmd/fieldgate/internal/proctest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	proctest.Clean()
	os.Exit(code)
}

// long says that the exhaustive forms are asked for.
func long() bool { return os.Getenv("FIELDGATE_LONG") != "" }

// seeded is a source of random numbers whose seed a failure prints.
func seeded(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	if s, err := strconv.ParseUint(os.Getenv("FIELDGATE_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("repeat with FIELDGATE_SEED=%d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, seed))
}

// between is a random length of time.
func between(r *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(r.Int64N(int64(high-low)))
}
