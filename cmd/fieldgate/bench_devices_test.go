package main

import (
	"encoding/json"
	"os/exec"
	"testing"
)

// TestBenchDevices runs the bench small: whether a poll is missed then is up to
// the machine, but every device must have been polled.
func TestBenchDevices(t *testing.T) {
	c := exec.CommandContext(t.Context(), fieldgateBinary(t), "bench", "devices", "--devices", "30", "--tags", "5", "--settle", "1s", "--for", "3s", "--json")
	out, err := c.Output()
	if err != nil && exitStatus(err) != exitProblems {
		t.Fatalf("%v\n%s", err, out)
	}
	var r struct {
		Schema          string
		Devices, Tags   int
		Polls, Failures float64
		Allocs          float64 `json:"allocs_per_poll"`
		OpenFiles       int     `json:"open_files"`
		Memory          struct{ RSS int64 }
	}
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if r.Schema != "fieldgate.bench-devices/1" || r.Devices != 30 || r.Tags != 150 || r.Polls < 30 || r.Allocs <= 0 || r.OpenFiles < 30 || r.Memory.RSS == 0 {
		t.Errorf("%s", out)
	}
}
