package conformance

// Section 3.2: CONNACK.

var connackStatements = []statement{
	{v311: "3.2.0-1", v5: "3.2.0-1", says: "CONNACK is the first packet of a server", script: `
		a session new
		a sub %/t 1
		a leave
		b connect
		b pub %/t 1 x
		a open
		a> 10( 'MQTT' VV 00 003c { 11 00000e10 } '%a' ) c0()
		a< 20( 01 00 * )`},
	{v5: "3.2.0-2", says: "a connection has one CONNACK", script: `
		a connect
		a none
		a> 10( 'MQTT' 05 02 003c () '%a' )
		a end 82`},
	{v5: "3.2.2-1", says: "the reserved acknowledge flags are 0", script: `
		a open
		a> 10( 'MQTT' 05 00 003c ( 11 0000003c ) '%a' )
		a< 20( 00 00 * )
		b open
		b> 10( 'MQTT' 05 00 003c ( 11 0000003c ) '%a' )
		b< 20( 01 00 * )`},
	{v311: "3.2.2-1", v5: "3.2.2-2", says: "after a clean start there is no session present", script: `
		a session new
		a leave
		a open
		a> 10( 'MQTT' VV 02 003c {} '%a' )
		a< 20( 00 00 * )`},
	{v311: "3.2.2-2", v5: "3.2.2-3", says: "session present is set where the session was stored", script: `
		a session new
		a leave
		a session present
		a cut
		a session present`},
	{v311: "3.2.2-3", says: "session present is not set where there was none", script: `
		a connect
		a leave
		a session new`},
	{v5: "3.2.2-4", says: "a client without a session closes when one is said to be present", client: `
		answer 20( 01 00 00 )
		do connect clean=1
		fails
		c end`},
	{v5: "3.2.2-5", says: "a client whose session is gone forgets its own", not: "TestSessionLost in mqtt/client: it takes two connections with one Session"},
	{v311: "3.2.2-4", v5: "3.2.2-6", says: "a CONNACK that refuses has no session present", script: `
		a session new
		b open
		b> 10( 'MQTT' VV c0 003c {} '%a' 'nobody' 'wrong' )
		b refused 86 04 05`},
	{v311: "3.2.2-5", v5: "3.2.2-7", says: "after a CONNACK that refuses the connection is closed", script: `
		b open
		b> 10( 'MQTT' VV c0 003c {} '%b' 'nobody' 'wrong' )
		b refused 86 04 05`},
	{v311: "3.2.2-6", says: "where no return code fits, the connection is closed without a CONNACK", script: `
		a open
		a> 10( 'MQTT' 04 03 003c '%a' )
		a refused -`},
	{v5: "3.2.2-8", says: "the reason code is one of the table", script: `
		a open
		a> 10( 'MQTT' 05 02 003c ( 15 'GS2-KRB5' ) '%a' )
		a refused 8c`},
	{v5: "3.2.2-9", limited: true, says: "a server without QoS 2 says so", script: `
		a open
		a> 10( 'MQTT' 05 02 003c () '%a' )
		a< 20( 00 00 (*) )
		a announces 24 01
		a announces 25 00`},
	{v5: "3.2.2-10", limited: true, says: "a server without QoS 2 still takes such subscriptions", script: `
		a connect
		a> 82( 0001 () '%/t' 02 )
		a< 90( 0001 () [00 01 02] )
		a pub %/t 1 x
		a get %/t 1 x`},
	{v5: "3.2.2-11", says: "a client sends no QoS above the server's maximum", client: `
		answer 20( 00 00 ( 24 01 ) )
		do connect
		do publish t 2 x
		fails
		c none`},
	{v5: "3.2.2-11", limited: true, says: "a QoS above the maximum ends the connection", script: `
		a connect
		a> 34( '%/t' 0001 () "x" )
		a end 9b`},
	{v5: "3.2.2-12", limited: true, says: "a will with a QoS above the maximum is refused", script: `
		a open
		a> 10( 'MQTT' 05 16 003c () '%a' () '%/w' 'gone' )
		a refused 9b`},
	{v5: "3.2.2-13", limited: true, says: "a retained will is refused where nothing is retained", script: `
		a open
		a> 10( 'MQTT' 05 26 003c () '%a' () '%/w' 'gone' )
		a refused 9a`},
	{v5: "3.2.2-14", says: "a client sends nothing retained where the server retains nothing", client: `
		answer 20( 00 00 ( 25 00 ) )
		do connect
		do publish t 1r x
		fails
		c none`},
	{v5: "3.2.2-14", limited: true, says: "a retained message ends the connection where nothing is retained", script: `
		a connect
		a> 31( '%/t' () "x" )
		a end 9a`},
	{v5: "3.2.2-15", says: "a client sends nothing above the server's Maximum Packet Size", client: `
		answer 20( 00 00 ( 27 00000020 ) )
		do connect
		do publish t 1 0123456789012345678901234567890123456789
		fails
		c none`},
	{v5: "3.2.2-15", says: "a packet above Maximum Packet Size ends the connection", not: "TestClientLimits in mqtt/broker: mosquitto announces no maximum here to be compared with"},
	{v5: "3.2.2-16", says: "an assigned client id is told, and new", script: `
		a open
		a> 10( 'MQTT' 05 02 003c () '' )
		a< 20( 00 00 (*) )
		a announces 12
		b open
		b> 10( 'MQTT' 05 02 003c () '' )
		b< 20( 00 00 (*) )
		b announces 12
		a none`},
	{v5: "3.2.2-17", says: "a client sends no topic alias above the server's maximum", client: `
		answer 20( 00 00 ( 22 0001 ) )
		do connect
		do publish t 0 x
		c< 30( 't' [00 03] * )
		do publish u 0 x
		c< 30( 'u' 00 "x" )`},
	{v5: "3.2.2-18", says: "a client sends no topic alias to a server that allows none", client: `
		do connect
		do publish t 0 x
		c< 30( 't' 00 "x" )
		do publish t 0 y
		c< 30( 't' 00 "y" )`},
	{v5: "3.2.2-19", says: "no reason string that makes CONNACK too large", not: noReasonText},
	{v5: "3.2.2-20", says: "no user properties that make CONNACK too large", not: noReasonText},
	{v5: "3.2.2-21", says: "a client uses the keep alive that the server sends", client: `
		answer 20( 00 00 ( 13 0001 ) )
		do connect keepalive=0
		c< c0()`},
	{v5: "3.2.2-22", says: "without Server Keep Alive the server keeps to the client's", script: `
		a open
		a> 10( 'MQTT' 05 02 0001 () '%a' )
		a< 20( 00 00 (*) )
		a announces -13
		a end 8d`},
}
