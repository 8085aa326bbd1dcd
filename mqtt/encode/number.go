package encode

import "strconv"

// span is a run of sequence numbers, both ends included.
type span struct{ first, last uint64 }

// spans collects the numbers of items into runs. Numbers rise within a
// batch; one that does not starts a new run.
func spans(items []Item) []span {
	var out []span
	for _, it := range items {
		if n := len(out); n > 0 && out[n-1].last+1 == it.Seq {
			out[n-1].last = it.Seq
			continue
		}
		out = append(out, span{it.Seq, it.Seq})
	}
	return out
}

// Seqs is the text of the user property gw: "17" or "17-59,61".
func Seqs(items []Item) string {
	var b []byte
	for i, s := range spans(items) {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, s.first, 10)
		if s.last != s.first {
			b = append(b, '-')
			b = strconv.AppendUint(b, s.last, 10)
		}
	}
	return string(b)
}

// appendNumbers appends the members gateway, epoch and seq of a batch:
// "seq":[[17,59],[61,61]] names every message in it, so that a receiver drops
// exactly what it already has. Items without numbers give nothing.
func (e *Encoder) appendNumbers(dst []byte, items []Item) []byte {
	if items[0].Seq == 0 {
		return dst
	}
	if e.o.Gateway != "" {
		dst = AppendString(appendKey(dst, "gateway"), e.o.Gateway)
	}
	dst = strconv.AppendUint(appendKey(dst, "epoch"), uint64(items[0].Epoch), 10)
	dst = append(appendKey(dst, "seq"), '[')
	for i, s := range spans(items) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '[')
		dst = strconv.AppendUint(dst, s.first, 10)
		dst = append(dst, ',')
		dst = strconv.AppendUint(dst, s.last, 10)
		dst = append(dst, ']')
	}
	return append(dst, ']')
}
