package clock

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestStampsAreOrdered(t *testing.T) {
	for _, c := range []struct {
		a, b Stamp
		want bool
	}{
		{Stamp{1, 5}, Stamp{1, 6}, true},
		{Stamp{1, 6}, Stamp{1, 6}, false},
		{Stamp{1, 9}, Stamp{2, 1}, true},
		{Stamp{7, 9}, Stamp{0, 1}, true}, // boot 0 is this one, the newest
		{Stamp{0, 1}, Stamp{7, 9}, false},
	} {
		if got := c.a.Before(c.b); got != c.want {
			t.Errorf("%v before %v: %v", c.a, c.b, got)
		}
	}
}

func TestNowAdvances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := Now()
		time.Sleep(time.Hour)
		if got := Now().Sub(first); got != time.Hour {
			t.Errorf("an hour takes %v", got)
		}
		if got := first.Add(time.Minute).Sub(first); got != time.Minute {
			t.Errorf("a minute more is %v", got)
		}
	})
}

func TestWallIsTheMomentsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wall, stamp := time.Now(), Now()
		time.Sleep(10 * time.Minute)
		if got := Wall(stamp); !got.Equal(wall) {
			t.Errorf("ten minutes later the stamp's time is %v, was %v", got, wall)
		}
	})
}

func TestZeroStamp(t *testing.T) {
	if !(Stamp{}).IsZero() || Now().IsZero() {
		t.Error("only the zero stamp is unknown")
	}
}
