package conformance

// Sections 3.12 to 3.15: PINGREQ, DISCONNECT, AUTH.

var pingStatements = []statement{
	{v311: "3.12.4-1", v5: "3.12.4-1", says: "PINGREQ is answered with PINGRESP", script: `
		a connect
		a> c0() c0()
		a< d0()
		a< d0()`},
}

var disconnectStatements = []statement{
	{v5: "3.14.0-1", says: "a server sends no DISCONNECT before a CONNACK of success", script: `
		a open
		a> 10( 'MQTT' 05 03 003c () '%a' )
		a refused 81
		b open
		b> 30( '%/t' () "x" )
		b refused -`},
	{v311: "3.14.1-1", v5: "3.14.1-1", says: "reserved flags of DISCONNECT are 0", script: `
		w connect
		w sub %/w 0
		a open
		a> 10( 'MQTT' VV 06 003c {} '%a' {} '%/w' 'gone' )
		a< 20( 00 00 * )
		a> e1()
		a end 81
		w get %/w 0 gone`},
	{v5: "3.14.2-1", says: "DISCONNECT carries a reason code of its table", script: `
		w connect
		w sub %/w 0
		a open
		a> 10( 'MQTT' 05 06 003c () '%a' () '%/w' 'gone' )
		a< 20( 00 00 * )
		a> e0( 01 )
		a end 81 82
		w get %/w 0 gone
		b open
		b> 10( 'MQTT' 05 06 003c () '%b' () '%/w' 'asked' )
		b< 20( 00 00 * )
		b> e0( 04 )
		b end
		w get %/w 0 asked`},
	{v5: "3.14.2-2", says: "a server's DISCONNECT has no session expiry", script: `
		a connect
		a> 36( '%/t' 0001 () "x" )
		a< e0( 81 * )
		b connect
		b> 36( '%/t' 0001 () "x" )
		b< e0(*)
		b announces -11`},
	{v5: "3.14.2-3", says: "no reason string that makes DISCONNECT too large", script: `
		a open
		a> 10( 'MQTT' 05 02 003c ( 27 00000014 ) '%a' )
		a< 20( 00 00 * )
		a> 36( '%/t' 0001 () "x" )
		a fits 20
		a end 81`},
	{v5: "3.14.2-4", says: "no user properties that make DISCONNECT too large", not: noReasonText},
	{v311: "3.14.4-2", v5: "3.14.4-1", says: "after DISCONNECT nothing more is sent, and nothing processed", script: `
		w connect
		w sub %/t 0
		a connect
		a> e0() 30( '%/t' {} "x" )
		a end
		w none`},
	{v311: "3.14.4-1", v5: "3.14.4-2", says: "after DISCONNECT the client closes", client: `
		do connect
		do close
		c< e0(*)
		c end`},
	{v5: "3.14.4-2", says: "after DISCONNECT the server closes", script: `
		a connect
		a> e0()
		a end
		b connect
		b> 36( '%/t' 0001 () "x" )
		b end 81`},
	{v311: "3.14.4-3", v5: "3.14.4-3", says: "DISCONNECT without a failure discards the will", script: `
		w connect
		w sub %/w 0
		a open
		a> 10( 'MQTT' VV 06 003c {} '%a' {} '%/w' 'never' )
		a< 20( 00 00 * )
		a leave
		w none`},
	{v5: "3.14.2.2.2", says: "(a section without a number of its own) a session expiry of 0 cannot become another at the end", script: `
		a connect
		a> e0( 00 ( 11 0000000a ) )
		a end 82`},
}

var authStatements = []statement{
	{v5: "3.15.1-1", says: "reserved flags of AUTH are 0", script: `
		a connect
		a> f1()
		a end 81`},
	{v5: "3.15.2-1", says: "AUTH carries a reason code of its table", script: `
		a connect
		a> f0( 42 () )
		a end 81 82`},
	{v5: "3.15.2-2", says: "no reason string that makes AUTH too large", not: "neither end of ours sends AUTH"},
	{v5: "3.15.2-3", says: "no user properties that make AUTH too large", not: "neither end of ours sends AUTH"},
}
