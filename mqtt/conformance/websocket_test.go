package conformance

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"fieldgate/mqtt"
	"fieldgate/mqtt/broker"
	"fieldgate/mqtt/client"
)

// TestWebSocket is chapter 6, for our broker and our client. (Debian's
// mosquitto cannot bind a WebSocket listener to the loopback address alone.)
func TestWebSocket(t *testing.T) {
	url := "ws://" + startOurs(t, broker.Listener{Name: "test", WebSocket: &broker.WebSocket{}}, false) + "/mqtt"
	t.Run("broker/[MQTT-6.0.0-4] a server chooses the subprotocol mqtt", func(t *testing.T) {
		w := dialWebSocket(t, url)
		if w.ws.Subprotocol() != "mqtt" {
			t.Errorf("the server chose %q", w.ws.Subprotocol())
		}
	})
	t.Run("broker/[MQTT-6.0.0-2] packets need not begin and end with frames", func(t *testing.T) {
		w := dialWebSocket(t, url)
		w.send(t, "10( 'MQTT' VV 02 003c {} '%' )", 1)
		w.expect(t, "20( 00 00 * )")
		w.send(t, "82( 0001 {} '%/t' 00 )", 3)
		w.expect(t, "90( 0001 {} 00 )")
		w.send(t, "30( '%/t' {} \"x\" ) c0()", 1000)
		w.expect(t, "30( '%/t' {} \"x\" )")
		w.expect(t, "d0()")
	})
	t.Run("broker/[MQTT-6.0.0-1] packets come in binary frames; another one ends the connection", func(t *testing.T) {
		w := dialWebSocket(t, url)
		w.send(t, "10( 'MQTT' VV 02 003c {} '%' )", 1000)
		w.expect(t, "20( 00 00 * )")
		if err := w.ws.Write(w.ctx, websocket.MessageText, []byte{0xC0, 0}); err != nil {
			t.Fatal(err)
		}
		b, err := w.read()
		for err == nil && b[0] == 0xE0 { // a DISCONNECT may come first
			b, err = w.read()
		}
		if err == nil || w.ctx.Err() != nil {
			t.Errorf("got % x, want the end", b)
		}
	})
	t.Run("client/[MQTT-6.0.0-3] a client offers the subprotocol mqtt", testOffer)
}

func testOffer(t *testing.T) {
	offered := make(chan string, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		offered <- r.Header.Get("Sec-WebSocket-Protocol")
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"mqtt"}})
		if err != nil {
			return
		}
		nc := websocket.NetConn(r.Context(), ws, websocket.MessageBinary)
		defer nc.Close()
		nc.Write([]byte{0x20, 0x03, 0, 0, 0})
		io.Copy(io.Discard, nc)
	}))
	defer s.Close()
	conn, err := client.Dial(t.Context(), client.Config{URL: "ws" + strings.TrimPrefix(s.URL, "http") + "/mqtt", Version: mqtt.V5})
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	<-conn.Done()
	if p := <-offered; p != "mqtt" {
		t.Errorf("the client offered %q", p)
	}
}

// webWire is a wire over WebSocket.
type webWire struct {
	wire
	ws  *websocket.Conn
	ctx context.Context
}

func dialWebSocket(t *testing.T, url string) *webWire {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), generous)
	t.Cleanup(cancel)
	ws, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{Subprotocols: []string{"mqtt"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.CloseNow() })
	var nc net.Conn = websocket.NetConn(ctx, ws, websocket.MessageBinary)
	return &webWire{wire{run: newRun("", true, true, generous), nc: nc, r: bufio.NewReader(nc)}, ws, ctx}
}

// send sends the bytes in frames of a size.
func (w *webWire) send(t *testing.T, text string, size int) {
	t.Helper()
	x, err := w.parse(text)
	if err != nil {
		t.Fatal(err)
	}
	b, err := w.encode(x)
	if err != nil {
		t.Fatal(err)
	}
	for len(b) > 0 {
		n := min(size, len(b))
		if err := w.ws.Write(w.ctx, websocket.MessageBinary, b[:n]); err != nil {
			t.Fatal(err)
		}
		b = b[n:]
	}
}

func (w *webWire) expect(t *testing.T, text string) {
	t.Helper()
	if err := w.expectText(text); err != nil {
		t.Fatal(err)
	}
}
