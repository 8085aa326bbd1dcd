package wire_test

import (
	"bytes"
	"testing"

	"fieldgate/drivers/modbus/server"
	"fieldgate/drivers/modbus/wire"
)

// TestFunctions asks for every function over every kind of line.
func TestFunctions(t *testing.T) {
	const fn05, fn06 = 5, 6
	for _, tc := range []struct {
		name string
		req  wire.Request
		want []byte
	}{
		{"coils", wire.Request{Function: 1, Address: 0, Quantity: 10}, []byte{0x55, 0x01}},
		{"discretes", wire.Request{Function: 2, Address: 0, Quantity: 9}, []byte{0x49, 0x00}},
		{"holdings", wire.Request{Function: 3, Address: 2, Quantity: 2}, []byte{3, 0xEA, 3, 0xEB}},
		{"inputs", wire.Request{Function: 4, Address: 100, Quantity: 1}, []byte{0x08, 0x34}},
		{"most registers", wire.Request{Function: 4, Address: 0, Quantity: 125}, nil},
		{"most bits", wire.Request{Function: 1, Address: 0, Quantity: 200}, nil},
		{"write coil", wire.Request{Function: fn05, Address: 1, Data: []byte{0xFF, 0}}, []byte{0, 1, 0xFF, 0}},
		{"write register", wire.Request{Function: fn06, Address: 150, Data: []byte{1, 2}}, []byte{0, 150, 1, 2}},
		{"write coils", wire.Request{Function: 15, Address: 100, Quantity: 9, Data: []byte{0xFF, 1}}, []byte{0, 100, 0, 9}},
		{"write registers", wire.Request{Function: 16, Address: 151, Quantity: 2, Data: []byte{1, 2, 3, 4}}, []byte{0, 151, 0, 2}},
		{"mask write", wire.Request{Function: 0x16, Address: 152, Data: []byte{0xFF, 0, 0, 0x0F}}, []byte{0, 152, 0xFF, 0, 0, 0x0F}},
		{"read and write", wire.Request{Function: 0x17, Address: 153, Quantity: 1, Data: []byte{0, 153, 0, 1, 9, 9}}, []byte{9, 9}},
		{"exception status", wire.Request{Function: wire.FuncReadExceptionStatus}, []byte{0}},
		{"diagnostics", wire.Request{Function: wire.FuncDiagnostics, Data: []byte{0, 0, 0xA5, 0x37}}, []byte{0, 0, 0xA5, 0x37}},
		{"server id", wire.Request{Function: wire.FuncReportServerID}, append(append([]byte{7, 1}, "meter"...), 0xFF)},
		{"identity", wire.Request{Function: wire.FuncDeviceIdentity, Data: []byte{0x0E, 1, 0}},
			append([]byte{0x0E, 1, 1, 0, 0, 3, 0, 4, 'A', 'c', 'm', 'e', 1, 5}, append([]byte("meter"), 2, 2, 'v', '1')...)},
		{"fifo", wire.Request{Function: 0x18, Data: []byte{0, 160}}, []byte{0, 6, 0, 2, 0, 7, 0, 8}},
		{"own function", wire.Request{Function: 0x42, Data: []byte{5}}, []byte{5, 6, 7}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			each(t, kinds, func(t *testing.T, kind wire.Kind) {
				m := meter()
				m.Set(server.Holdings, 160, 2, 7, 8)
				s := &server.Server{Units: map[byte]server.Bank{1: m}, Identity: [3]string{"Acme", "meter", "v1"},
					Functions: map[byte]func(byte, []byte) ([]byte, error){0x42: func(_ byte, d []byte) ([]byte, error) { return append(d, 6, 7), nil }}}
				l := serve(t, kind, s)
				req := tc.req
				req.Unit = 1
				reply, err := do(t, l, req)
				if err != nil {
					t.Fatal(err)
				}
				if tc.want != nil && !bytes.Equal(reply.Data, tc.want) {
					t.Errorf("got % x, want % x", reply.Data, tc.want)
				}
				if reply.At.IsZero() || reply.Took <= 0 {
					t.Errorf("at %v, took %v", reply.At, reply.Took)
				}
				if s := l.Stats(); s.OK < 1 || s.Timeouts+s.CRC+s.Misfits != 0 {
					t.Errorf("stats %+v", s)
				}
			})
		})
	}
}
