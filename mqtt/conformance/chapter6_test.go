package conformance

const onWebSocket = "TestWebSocket in this package"

// Chapter 6 is about WebSocket, which the scripts do not speak.
var chapter6 = []statement{
	{v311: "6.0.0-1", v5: "6.0.0-1", says: "packets come in binary frames; another one ends the connection", not: onWebSocket},
	{v311: "6.0.0-2", v5: "6.0.0-2", says: "packets need not begin and end with frames", not: onWebSocket},
	{v311: "6.0.0-3", v5: "6.0.0-3", says: "a client offers the subprotocol mqtt", not: onWebSocket},
	{v311: "6.0.0-4", v5: "6.0.0-4", says: "a server chooses the subprotocol mqtt", not: onWebSocket},
}
