// Package encode turns samples into payloads: JSON, bare values, groups,
// columns, InfluxDB line protocol, SenML (RFC 8428) in JSON and CBOR, and
// templates; one sample a message or many.
//
// The gateway publishes through it ([publish] format) and bridges encode with
// it what leaves in another format, or as published but with a better time.
//
// An Encoder is made once from the configuration and may be used by several
// goroutines. Times are computed when Encode is called, from the stamps of the
// samples: a value read before the clock was set gets its right time if the
// clock has been set since, and is marked "unsynced" if not.
//
// Nothing that comes from a device, a topic or a client can break out of its
// place in a payload: every format escapes, and values are checked to be one
// JSON scalar before they are written.
package encode
