package conformance

import (
	"flag"
	"os"
	"testing"
)

// TestMain runs more scripts at once than there are processors: they mostly wait.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
