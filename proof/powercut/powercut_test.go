// Package powercut proves that a power cut at any moment takes nothing that was
// acknowledged.
package powercut_test

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/parley-chat/parley/proof/disk"
	"github.com/parley-chat/parley/proof/server"
	"github.com/parley-chat/parley/proof/trial"
)

// perDisk is after how many cuts a trial goes on with a new disk.
const perDisk = 20

func TestPowerCut(t *testing.T) {
	disk.Require(t)
	normal := server.Build(t, "../witness")
	often := server.Build(t, "../witness", trial.CheckpointOften)
	for _, test := range []struct {
		name    string
		program string
		keep    float64
		cuts    int
	}{
		{"nothing unsynced survives", normal, 0, 60},
		{"half of it survives", normal, 0.5, 40},
		{"nothing unsynced survives, often in a checkpoint", often, 0, 60},
		{"half of it survives, often in a checkpoint", often, 0.5, 40},
	} {
		t.Run(test.name, func(t *testing.T) {
			cuts := test.cuts
			if testing.Short() {
				cuts = perDisk
			}
			var total trial.Report
			for total.Crashes < cuts {
				m := trial.NewUnplugged(t, test.program)
				m.Keep = test.keep
				report, err := trial.Run(m, perDisk)
				total = total.Plus(report)
				if err != nil {
					t.Fatalf("after %d cuts: %v", total.Crashes, err)
				}
			}
			t.Log(total)
		})
	}
}

// TestPowerCutWhileTheDatabaseIsMade cuts the power before each single step of
// the first start. The next start must make of what is left a store that works.
func TestPowerCutWhileTheDatabaseIsMade(t *testing.T) {
	disk.Require(t)
	program := server.Build(t, "../witness")
	for _, keep := range []float64{0, 0.5, 1} {
		t.Run(fmt.Sprintf("%v of it survives", keep), func(t *testing.T) {
			steps, stride := 0, 1
			if testing.Short() {
				stride = 10
			}
			for cutFirstStart(t, program, steps, keep) {
				steps += stride
			}
			t.Logf("steps=%d", steps)
			if steps < 10 {
				t.Errorf("the first start has %d steps; want at least 10, or the test misses them", steps)
			}
		})
	}
}

// cutFirstStart cuts the power after some steps of the first start, and reports
// whether there were as many.
func cutFirstStart(t *testing.T, program string, steps int, keep float64) bool {
	t.Helper()
	m := trial.NewUnplugged(t, program)
	m.Keep = keep
	cut := false
	m.Disk.SetFault(func(disk.Op, string) syscall.Errno {
		if cut = cut || steps == 0; cut {
			return syscall.EIO // nothing gets through any more
		}
		steps--
		return 0
	})
	s, err := m.Start()
	if err != nil {
		t.Fatal(err)
	}
	s.WaitReady() // or until the server has given up
	if err := m.Crash(s); err != nil {
		t.Fatal(err)
	}
	m.Disk.SetFault(nil)
	report, err := trial.Run(m, 0)
	if err != nil {
		t.Errorf("after the cut: %v, %v", report, err)
	}
	return cut
}

// TestPowerCutFindsFlaws is the control: with synchronous=NORMAL, SQLite writes
// before it acknowledges, but does not sync, and must lose in most cuts.
func TestPowerCutFindsFlaws(t *testing.T) {
	disk.Require(t)
	program := server.Build(t, "../witness", server.Edit{
		File: "../../store/sqlite/sqlite.go", Old: "synchronous(FULL)", New: "synchronous(NORMAL)",
	})
	const cuts, most = 10, 9
	lossy := 0
	var total trial.Report
	for total.Crashes < cuts {
		report, err := trial.Run(trial.NewUnplugged(t, program), 1)
		switch v := report.Verdict; {
		case err != nil && v.Lost == 0:
			t.Fatal(err)
		case v.Acked == 0: // cut before there was anything to lose
			continue
		case v.Lost > 0:
			lossy++
		}
		total = total.Plus(report)
	}
	t.Logf("%d of %d cuts lost something: %v", lossy, cuts, total.Verdict)
	if lossy < most {
		t.Errorf("%d of %d cuts lost something with synchronous=NORMAL; want %d at least", lossy, cuts, most)
	}
}
