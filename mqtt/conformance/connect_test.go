package conformance

// Sections 3.1: CONNECT.

const noReasonText = "neither end of ours puts a reason string or user properties into this packet"

var connectStatements = []statement{
	{v311: "3.1.0-1", v5: "3.1.0-1", says: "the first packet of a client is CONNECT", script: `
		a open
		a> c0()
		a end
		b open
		b> 30( '%/t' {} "x" )
		b end
		c open
		c> 82( 0001 {} '%/t' 00 )
		c end`},
	{v311: "3.1.0-2", v5: "3.1.0-2", says: "a second CONNECT ends the connection", script: `
		a connect
		a> 10( 'MQTT' VV 02 003c {} '%a' )
		a end 82`},
	{v311: "3.1.2-1", v5: "3.1.2-1", says: "another protocol name is refused, and the connection closed", script: `
		a open
		a> 10( 'MQTU' VV 02 003c {} '%a' )
		a refused 84 01 -
		b open
		b> 10( 'mqtt' VV 02 003c {} '%b' )
		b refused 84 01 -`},
	{v311: "3.1.2-2", v5: "3.1.2-2", says: "another protocol level is refused with a code, and the connection closed", script: `
		a open
		a> 10( 'MQTT' 07 02 003c {} '%a' )
		a refused 84 01
		b open
		b> 10( 'MQTT' 02 02 003c {} '%b' )
		b refused 84 01`},
	{v311: "3.1.2-3", v5: "3.1.2-3", says: "the reserved connect flag must be 0", script: `
		a open
		a> 10( 'MQTT' VV 03 003c {} '%a' )
		a refused 81 -`},
	{v311: "3.1.2-4", says: "without Clean Session the session goes on, or is made, and stays", script: `
		a session new
		a sub %/t 1
		a leave
		a session present
		b connect
		b pub %/t 1 x
		a get %/t 1 x`},
	{v311: "3.1.2-5", says: "QoS 1 and 2 for a session that is away are stored", script: `
		a session new
		a sub %/t 2
		a leave
		b connect
		b pub %/t 1 one
		b pub %/t 2 two
		a session present
		a get %/t 1 one
		a get %/t 2 two
		a none`},
	{v311: "3.1.2-6", v5: "3.1.2-4", says: "a clean start discards the session that was", script: `
		a session new
		a sub %/t 1
		a leave
		b connect
		b pub %/t 1 lost
		a open
		a> 10( 'MQTT' VV 02 003c {} '%a' )
		a< 20( 00 00 * )
		b pub %/t 1 x
		a none
		a leave
		a session new`},
	{v5: "3.1.2-5", says: "without Clean Start the session that is there goes on", script: `
		a session new
		a sub %/t 1
		a leave
		b connect
		b pub %/t 1 x
		a session present
		a get %/t 1 x`},
	{v5: "3.1.2-6", says: "without Clean Start and without a session a new one is made", script: `
		a session new
		a none
		a leave
		a session present`},
	{v311: "3.1.2-7", says: "retained messages do not end with the session", script: `
		a connect
		a pub %/t 1r x
		a leave
		b connect
		b sub %/t 1
		b get %/t 1r x`},
	{v5: "3.1.2-7", says: "a will is stored with the session", script: `
		w connect
		w sub %/w 0
		a open
		a> 10( 'MQTT' 05 04 003c ( 11 00000e10 ) '%a' ( 18 00000001 ) '%/w' 'gone' )
		a< 20( 00 00 * )
		a sync
		w none
		a cut
		w get %/w 0 gone`},
	{v311: "3.1.2-8", v5: "3.1.2-8", says: "the will is published when the connection ends without a DISCONNECT", script: `
		w connect
		w sub %/w 0
		a open
		a> 10( 'MQTT' VV 06 003c {} '%a' {} '%/w' 'gone' )
		a< 20( 00 00 * )
		a cut
		w get %/w 0 gone
		b open
		b> 10( 'MQTT' VV 06 003c {} '%b' {} '%/w' 'thrown' )
		b< 20( 00 00 * )
		b> 36( '%/t' 0001 {} "x" )
		b end 81
		w get %/w 0 thrown`},
	{v311: "3.1.2-9", v5: "3.1.2-9", says: "with the will flag the fields of the will are there and used", script: `
		w connect
		w sub %/w 2
		a open
		a> 10( 'MQTT' VV 0e 003c {} '%a' {} '%/w' 'gone' )
		a< 20( 00 00 * )
		a cut
		w get %/w 1 gone
		b open
		b> 10( 'MQTT' VV 06 003c {} '%b' )
		b refused 81 -
		c open
		c> 10( 'MQTT' VV 06 003c {} '%c' {} '%/w' )
		c refused 81 -`},
	{v311: "3.1.2-10", v5: "3.1.2-10", says: "a will is gone once published, or after DISCONNECT", script: `
		w connect
		w sub %/w 0
		a open
		a> 10( 'MQTT' VV 06 003c {} '%a' {} '%/w' 'gone' )
		a< 20( 00 00 * )
		a cut
		w get %/w 0 gone
		a connect
		a leave
		w none
		b open
		b> 10( 'MQTT' VV 06 003c {} '%b' {} '%/w' 'never' )
		b< 20( 00 00 * )
		b leave
		w none`},
	{v311: "3.1.2-11", says: "without the will flag there are no fields of a will", script: `
		a open
		a> 10( 'MQTT' 04 02 003c '%a' '%/w' 'gone' )
		a end
		b open
		b> 10( 'MQTT' 04 2a 003c '%b' )
		b end`},
	{v311: "3.1.2-12", says: "without the will flag nothing is published at the end", script: `
		w connect
		w sub %/# 0
		a connect
		a cut
		b connect
		b pub %/t 0 x
		w get %/t 0 x
		w none`},
	{v311: "3.1.2-13", v5: "3.1.2-11", says: "without the will flag the will's QoS is 0", script: `
		a open
		a> 10( 'MQTT' VV 0a 003c {} '%a' )
		a refused 81 -
		b open
		b> 10( 'MQTT' VV 12 003c {} '%b' )
		b refused 81 -`},
	{v311: "3.1.2-14", v5: "3.1.2-12", says: "the will's QoS is 0, 1 or 2", script: `
		a open
		a> 10( 'MQTT' VV 1e 003c {} '%a' {} '%/w' 'gone' )
		a refused 81 -
		w connect
		w sub %/w 2
		b open
		b> 10( 'MQTT' VV 16 003c {} '%b' {} '%/w' 'gone' )
		b< 20( 00 00 * )
		b cut
		w get %/w 2 gone`},
	{v311: "3.1.2-15", v5: "3.1.2-13", says: "without the will flag Will Retain is 0", script: `
		a open
		a> 10( 'MQTT' VV 22 003c {} '%a' )
		a refused 81 -`},
	{v311: "3.1.2-16", v5: "3.1.2-14", says: "without Will Retain the will is not retained", script: `
		w connect
		w sub %/w 0
		a open
		a> 10( 'MQTT' VV 06 003c {} '%a' {} '%/w' 'gone' )
		a< 20( 00 00 * )
		a cut
		w get %/w 0 gone
		b connect
		b sub %/w 0
		b none`},
	{v311: "3.1.2-17", v5: "3.1.2-15", says: "with Will Retain the will is retained", script: `
		w connect
		w sub %/w 0
		a open
		a> 10( 'MQTT' VV 26 003c {} '%a' {} '%/w' 'gone' )
		a< 20( 00 00 * )
		a cut
		w get %/w 0 gone
		b connect
		b sub %/w 0
		b get %/w 0r gone`},
	{v311: "3.1.2-18", v5: "3.1.2-16", says: "without its flag there is no user name", script: `
		a open
		a> 10( 'MQTT' VV 02 003c {} '%a' 'user' )
		a refused 81 -`},
	{v311: "3.1.2-19", v5: "3.1.2-17", says: "with its flag there is a user name", script: `
		a open
		a> 10( 'MQTT' VV 82 003c {} '%a' )
		a refused 81 -`},
	{v311: "3.1.2-20", v5: "3.1.2-18", says: "without its flag there is no password", script: `
		a open
		a> 10( 'MQTT' VV 82 003c {} '%a' 'user' 'password' )
		a refused 81 -`},
	{v311: "3.1.2-21", v5: "3.1.2-19", says: "with its flag there is a password", script: `
		a open
		a> 10( 'MQTT' VV c2 003c {} '%a' 'user' )
		a refused 81 -`},
	{v311: "3.1.2-22", says: "no password without a user name", script: `
		a open
		a> 10( 'MQTT' 04 42 003c '%a' 'password' )
		a end`},
	{v311: "3.1.2-23", v5: "3.1.2-20", says: "a client that has nothing to send pings in time", client: `
		do connect keepalive=1
		c< c0()
		c> d0()
		c< c0()`},
	{v5: "3.1.2-21", says: "a client keeps to Server Keep Alive", client: `
		answer 20( 00 00 ( 13 0001 ) )
		do connect keepalive=600
		c< c0()
		c> d0()
		c< c0()`},
	{v311: "3.1.2-24", v5: "3.1.2-22", says: "one and a half keep-alives of silence end the connection", script: `
		w connect
		w sub %/w 0
		a open
		a> 10( 'MQTT' VV 06 0001 {} '%a' {} '%/w' 'gone' )
		a< 20( 00 00 * )
		a end 8d
		w get %/w 0 gone`},
	{v5: "3.1.2-23", says: "a session with an expiry is stored when the connection ends", script: `
		a open
		a> 10( 'MQTT' 05 00 003c ( 11 0000003c ) '%a' )
		a< 20( 00 00 * )
		a sub %/t 1
		a cut
		a open
		a> 10( 'MQTT' 05 00 003c () '%a' )
		a< 20( 01 00 * )
		a leave
		a session new`},
	{v5: "3.1.2-24", says: "nothing above the client's Maximum Packet Size is sent", script: `
		a open
		a> 10( 'MQTT' 05 02 003c ( 27 00000040 ) '%a' )
		a< 20( 00 00 * )
		a sub %/t 1
		b connect
		b> 32( '%/t' 0001 () ~100 )
		b< 40( 0001 * )
		b> 30( '%/t' () ~100 )
		b sync
		a none`},
	{v5: "3.1.2-25", says: "what is too large for a client counts as delivered", script: `
		a open
		a> 10( 'MQTT' 05 02 003c ( 27 00000040 21 0001 ) '%a' )
		a< 20( 00 00 * )
		a sub %/t 1
		b connect
		b> 32( '%/t' 0001 () ~100 )
		b< 40( 0001 * )
		b pub %/t 1 small
		a get %/t 1 small
		b pub %/t 1 next
		a get %/t 1 next`},
	{v5: "3.1.2-26", says: "no topic alias above the client's maximum is sent", script: `
		a open
		a> 10( 'MQTT' 05 02 003c ( 22 0001 ) '%a' )
		a< 20( 00 00 * )
		a sub %/+ 0
		b connect
		b pub %/1 0 x
		b pub %/2 0 x
		a< 30( '%/1' [00 03] * )
		a< 30( '%/2' 00 "x" )`},
	{v5: "3.1.2-27", says: "a client that allows no topic alias gets none", script: `
		a open
		a> 10( 'MQTT' 05 02 003c ( 22 0000 ) '%a' )
		a< 20( 00 00 * )
		a sub %/+ 0
		b connect
		b pub %/1 0 x
		b pub %/1 0 y
		a< 30( '%/1' 00 "x" )
		a< 30( '%/1' 00 "y" )`},
	{v5: "3.1.2-28", says: "who does not ask for Response Information gets none", not: "our broker never sends Response Information, and CONNACK in every script would show it"},
	{v5: "3.1.2-29", says: "who asks for no problem information gets no reason string or user properties but with PUBLISH, CONNACK and DISCONNECT", script: `
		a open
		a> 10( 'MQTT' 05 02 003c ( 17 00 ) '%a' )
		a< 20( 00 00 * )
		a> 82( 0001 () '%/t' 00 )
		a< 90( 0001 00 00 )
		a> 62( 0007 )
		a< 70( 0007 * )
		a> a2( 0001 () '%/none' )
		a< b0( 0001 00 11 )
		a> 32( '%/none' 0001 () "x" )
		a< 40( 0001 10 )`},
	{v5: "3.1.2-30", says: "a client with an authentication method sends nothing else before CONNACK", not: "our client offers no authentication method"},
	{v311: "3.1.3-1", v5: "3.1.3-1", says: "the fields of the payload have their order", script: `
		w connect
		w sub %/w 0
		a open
		a> 10( 'MQTT' VV 06 003c {} '%a' {} '%/w' 'gone' )
		a< 20( 00 00 * )
		a cut
		w get %/w 0 gone`},
	{v311: "3.1.3-2", v5: "3.1.3-2", says: "the client id names the session", script: `
		a session new
		a sub %/t 1
		a leave
		b session new
		b none
		a session present`},
	{v311: "3.1.3-3", v5: "3.1.3-3", says: "the client id is there, first", script: `
		a open
		a> 10( 'MQTT' VV 02 003c {} )
		a refused 81 -`},
	{v311: "3.1.3-4", v5: "3.1.3-4", says: "the client id is UTF-8", script: `
		a open
		a> 10( 'MQTT' VV 02 003c {} <c328> )
		a refused 81 -`},
	{v311: "3.1.3-5", v5: "3.1.3-5", says: "client ids of 1 to 23 letters and digits are taken", script: `
		a open
		a> 10( 'MQTT' VV 02 003c {} '0123456789abcdefghijklm' )
		a< 20( 00 00 * )
		b open
		b> 10( 'MQTT' VV 02 003c {} 'nopqrstuvwxyzABCDEFGHIJ' )
		b< 20( 00 00 * )
		c open
		c> 10( 'MQTT' VV 02 003c {} 'KLMNOPQRSTUVWXYZ' )
		c< 20( 00 00 * )
		d open
		d> 10( 'MQTT' VV 02 003c {} 'Z' )
		d< 20( 00 00 * )`},
	{v311: "3.1.3-6", v5: "3.1.3-6", says: "an empty client id stands for one that the server makes, each its own", script: `
		a open
		a> 10( 'MQTT' VV 02 003c {} '' )
		a< 20( 00 00 * )
		b open
		b> 10( 'MQTT' VV 02 003c {} '' )
		b< 20( 00 00 * )
		a none
		b none`},
	{v311: "3.1.3-7", says: "an empty client id needs a clean session", client: `
		answer 20( 00 00 )
		do connect id=
		connect 02`},
	{v5: "3.1.3-7", says: "the id that the server makes is told, and works like the client's own", script: `
		a open
		a> 10( 'MQTT' 05 02 003c ( 11 0000003c ) '' )
		a< 20( 00 00 ( * ) )
		a sub %/t 1
		b connect
		b pub %/t 1 x
		a get %/t 1 x`},
	{v311: "3.1.3-8", says: "an empty client id without Clean Session is refused with 2", script: `
		a open
		a> 10( 'MQTT' 04 00 003c '' )
		a refused 02`},
	{v311: "3.1.3-9", v5: "3.1.3-8", says: "a client id that is refused gets a code of its own, and the connection closed", script: `
		a open
		a> 10( 'MQTT' VV 02 003c {} <~2000> )
		a refused 02 85`},
	{v5: "3.1.3-9", says: "a client that is back before the will delay is over has no will published", script: `
		w connect
		w sub %/w 0
		a open
		a> 10( 'MQTT' 05 04 003c ( 11 0000003c ) '%a' ( 18 00000001 ) '%/w' 'gone' )
		a< 20( 00 00 * )
		a cut
		a session present
		wait 1500ms
		w none
		a leave
		wait 1500ms
		w none`},
	{v5: "3.1.3-10", says: "user properties of a will keep their order", script: `
		w connect
		w sub %/w 0
		a open
		a> 10( 'MQTT' 05 06 003c () '%a' ( 26 'b' '1' 26 'a' '2' 26 'b' '0' ) '%/w' 'gone' )
		a< 20( 00 00 * )
		a cut
		w< 30( '%/w' ( 26 'b' '1' 26 'a' '2' 26 'b' '0' ) "gone" )`},
	{v311: "3.1.3-10", v5: "3.1.3-11", says: "the will's topic is UTF-8", script: `
		a open
		a> 10( 'MQTT' VV 06 003c {} '%a' {} <ff> 'gone' )
		a refused 81 -`},
	{v311: "3.1.3-11", v5: "3.1.3-12", says: "the user name is UTF-8", script: `
		a open
		a> 10( 'MQTT' VV 82 003c {} '%a' <c3> )
		a refused 81 -`},
	{v311: "3.1.4-1", v5: "3.1.4-1", says: "a CONNECT that does not conform ends the connection", script: `
		a open
		a> 10( 'MQTT' VV 02 003c {} '%a' 00 )
		a refused 81 -
		b open
		b> 10( 'MQTT' VV 02 00 )
		b refused 81 -
		c open
		c> 10()
		c end`},
	{v5: "3.1.4-2", says: "who is not let in gets the connection closed", script: `
		a open
		a> 10( 'MQTT' 05 c2 003c () '%a' 'nobody' 'wrong' )
		a refused 86`},
	{v311: "3.1.4-2", v5: "3.1.4-3", says: "a second connection with the client id ends the first", script: `
		a connect
		b open
		b> 10( 'MQTT' VV 02 003c {} '%a' )
		b< 20( 00 00 * )
		a end 8e
		b none`},
	{v311: "3.1.4-3", v5: "3.1.4-4", says: "a clean start is done with each CONNECT that is accepted", script: `
		a session new
		a sub %/t 1
		b open
		b> 10( 'MQTT' VV 02 003c {} '%a' )
		b< 20( 00 00 * )
		c connect
		c pub %/t 1 x
		b none`},
	{v311: "3.1.4-4", v5: "3.1.4-5", says: "an accepted CONNECT is answered with a CONNACK of success", script: `
		a open
		a> 10( 'MQTT' VV 02 003c {} '%a' )
		a< 20( 00 00 * )`},
	{v311: "3.1.4-5", v5: "3.1.4-6", says: "what comes behind a refused CONNECT is not processed", script: `
		w connect
		w sub %/t 0
		a open
		a> 10( 'MQTT' 07 02 003c {} '%a' ) 30( '%/t' {} "x" )
		a refused 84 01
		w none`},
}
