// Package packet is the wire of MQTT 3.1, 3.1.1 and 5.0: the fifteen control
// packets, their properties and their framing. It knows no socket and no state.
//
// Each packet is a struct in a file of its own. Append writes a whole packet,
// fixed header included; Decode takes the header byte and the body that Split
// or Reader has framed. Both are strict: what the standard forbids is an
// *Error that carries the reason code to answer with, whether it arrived or is
// about to be sent.
//
// In the types of this package zero means "absent": a property that is not set
// is not written, and absence of a property decodes as the zero value. Where
// the standard's default is true, the field is its negation (NoRetain).
//
// The path of a PUBLISH does not allocate: DecodePublish decodes in place into
// a PublishView, and (*Publish).Append appends to a buffer that is large enough.
package packet
