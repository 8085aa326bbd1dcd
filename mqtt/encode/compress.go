package encode

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// The compressions, with the names of the file and of the suffix of the content
// type.
const (
	None = "none"
	Gzip = "gzip"
	Zstd = "zstd"
)

// zstdEncoder is shared: EncodeAll keeps no state between calls. One slot
// bounds what a burst of batches can take of a small board's memory.
var zstdEncoder = sync.OnceValues(func() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(128<<10), zstd.WithLowerEncoderMem(true))
})

var gzipWriters = sync.Pool{New: func() any {
	w, err := gzip.NewWriterLevel(nil, gzip.BestCompression)
	if err != nil {
		panic(err) // the level is a constant
	}
	return w
}}

// Compress packs a payload. It returns the body unchanged and an empty
// encoding where kind is none or empty, or where packing would not make it
// smaller; else the encoding to state beside it. Gzip has no time and no name in its
// head, so equal bodies give equal bytes.
func Compress(kind string, body []byte) (packed []byte, encoding string, err error) {
	switch kind {
	case "", None:
		return body, "", nil
	case Gzip:
		packed, err = gzipped(body)
	case Zstd:
		var enc *zstd.Encoder
		if enc, err = zstdEncoder(); err == nil {
			packed = enc.EncodeAll(body, nil)
		}
	default:
		return nil, "", fmt.Errorf("unknown compression %q; write none, gzip or zstd", kind)
	}
	if err != nil {
		return nil, "", fmt.Errorf("compress with %s: %w", kind, err)
	}
	if len(packed) >= len(body) {
		return body, "", nil
	}
	return packed, kind, nil
}

func gzipped(body []byte) ([]byte, error) {
	w := gzipWriters.Get().(*gzip.Writer)
	defer gzipWriters.Put(w)
	var b bytes.Buffer
	w.Reset(&b)
	if _, err := w.Write(body); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
