package encode

import (
	"slices"
	"strconv"
)

// columns writes a batch as one array per tag, the smallest JSON:
//
//	{"gateway":"gw1","epoch":3,"seq":[[17,22]],"t0":1767225600123,"dt":[0,1000,1000],
//	 "tags":{"boiler2/water_temp":[71.4,71.5,null],"boiler2/pressure":[1.2]},
//	 "at":{"boiler2/pressure":[2]},"errors":{"boiler2/water_temp":{"2":"timeout"}}}
//
// Row i was read dt[0]+…+dt[i] milliseconds after t0. A tag that is not in
// every row has the numbers of its rows in "at". "errors" gives, by the index
// in the tag's array, why a value is not good; a bad one is null.
func (e *Encoder) columns(items []Item) ([]byte, error) {
	t := e.table(items)
	dst := make([]byte, 0, 128+12*len(items))
	dst = e.appendNumbers(append(dst, '{'), items)
	dst = strconv.AppendInt(appendKey(dst, "t0"), t.rows[0].ms, 10)
	dst = append(appendKey(dst, "dt"), '[')
	last := t.rows[0].ms
	for i, r := range t.rows {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(dst, r.ms-last, 10)
		last = r.ms
	}
	dst = append(dst, ']')
	dst = append(t.appendTags(dst), '}')
	if !t.synced {
		dst = append(dst[:len(dst)-1], `,"clock":"unsynced"}`...)
	}
	return dst, nil
}

// row is a moment; nth tells apart two samples of one tag in one millisecond.
type row struct {
	ms  int64
	nth int
}

type column struct {
	name  string
	cells []cell
	at    map[int64]int // samples by millisecond
}

type cell struct {
	row   row
	value string
	fault string
}

type table struct {
	rows    []row // sorted, distinct
	columns []*column
	synced  bool
}

// table sorts samples into rows by time and columns by tag, in the order in
// which the tags appear.
func (e *Encoder) table(items []Item) table {
	t := table{synced: true}
	byName := map[string]*column{}
	rows := map[row]bool{}
	for _, it := range items {
		name := it.Sample.Device + "/" + it.Sample.Tag
		c := byName[name]
		if c == nil {
			c = &column{name: name, at: map[int64]int{}}
			byName[name] = c
			t.columns = append(t.columns, c)
		}
		ms, synced := e.millis(it.Sample.Time)
		t.synced = t.synced && synced
		r := row{ms, c.at[ms]}
		c.at[ms]++
		rows[r] = true
		c.cells = append(c.cells, cell{r, parseScalar(it.Sample.Value).text, faultOf(it.Sample)})
	}
	for r := range rows {
		t.rows = append(t.rows, r)
	}
	slices.SortFunc(t.rows, compareRows)
	for _, c := range t.columns {
		slices.SortFunc(c.cells, func(a, b cell) int { return compareRows(a.row, b.row) })
	}
	return t
}

func compareRows(a, b row) int {
	switch {
	case a.ms != b.ms && a.ms < b.ms:
		return -1
	case a.ms != b.ms:
		return 1
	}
	return a.nth - b.nth
}

func (t table) appendTags(dst []byte) []byte {
	dst = append(appendKey(dst, "tags"), '{')
	for _, c := range t.columns {
		dst = append(appendKey(dst, c.name), '[')
		for i, cell := range c.cells {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, cell.value...)
		}
		dst = append(dst, ']')
	}
	dst = append(dst, '}')
	dst = t.appendAt(dst)
	return t.appendErrors(dst)
}

func (t table) appendAt(dst []byte) []byte {
	index := make(map[row]int, len(t.rows))
	for i, r := range t.rows {
		index[r] = i
	}
	open := false
	for _, c := range t.columns {
		if len(c.cells) == len(t.rows) {
			continue
		}
		if !open {
			dst, open = append(appendKey(dst, "at"), '{'), true
		}
		dst = append(appendKey(dst, c.name), '[')
		for i, cell := range c.cells {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = strconv.AppendInt(dst, int64(index[cell.row]), 10)
		}
		dst = append(dst, ']')
	}
	if open {
		dst = append(dst, '}')
	}
	return dst
}

func (t table) appendErrors(dst []byte) []byte {
	open := false
	for _, c := range t.columns {
		inColumn := false
		for i, cell := range c.cells {
			if cell.fault == "" {
				continue
			}
			if !open {
				dst, open = append(appendKey(dst, "errors"), '{'), true
			}
			if !inColumn {
				dst, inColumn = append(appendKey(dst, c.name), '{'), true
			}
			dst = AppendString(appendKey(dst, strconv.Itoa(i)), cell.fault)
		}
		if inColumn {
			dst = append(dst, '}')
		}
	}
	if open {
		dst = append(dst, '}')
	}
	return dst
}
