package conformance

// Sections 3.8 to 3.11: SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK.

var subscribeStatements = []statement{
	{v311: "3.8.1-1", v5: "3.8.1-1", says: "the flags of SUBSCRIBE are 2", script: `
		a connect
		a> 80( 0001 {} '%/t' 00 )
		a end 81
		b connect
		b> 8a( 0001 {} '%/t' 00 )
		b end 81`},
	{v311: "3.8.3-1", v5: "3.8.3-1", says: "topic filters are UTF-8", script: `
		a connect
		a> 82( 0001 {} <fe> 00 )
		a end 81`},
	{v311: "3.8.3-2", says: "a server without wildcards refuses them", not: "TestProbe08AnnouncedLimits in mqtt/broker, which turns them off"},
	{v311: "3.8.3-3", v5: "3.8.3-2", says: "SUBSCRIBE has at least one filter", script: `
		a connect
		a> 82( 0001 {} )
		a end 82 81`},
	{v311: "3-8.3-4", says: "reserved bits, or a QoS of 3, end the connection", script: `
		a connect
		a> 82( 0001 '%/t' 03 )
		a end
		b connect
		b> 82( 0001 '%/t' 04 )
		b end
		c connect
		c> 82( 0001 '%/t' 80 )
		c end`},
	{v5: "3.8.3-3", says: "with No Local a client does not get what it published", script: `
		a connect
		a sub %/t 05
		a pub %/t 1 own
		b connect
		b pub %/t 1 other
		a get %/t 1 other
		a none`},
	{v5: "3.8.3-4", says: "No Local with a shared subscription is an error", script: `
		a connect
		a> 82( 0001 () '$share/g/%/t' 05 )
		a end 82`},
	{v5: "3.8.3-5", says: "reserved option bits end the connection", script: `
		a connect
		a> 82( 0001 () '%/t' 40 )
		a end 81
		b connect
		b> 82( 0001 () '%/t' 80 )
		b end 81
		c connect
		c> 82( 0001 () '%/t' 03 )
		c end 81 82
		d connect
		d> 82( 0001 () '%/t' 30 )
		d end 82 81`},
	{v311: "3.8.4-1", v5: "3.8.4-1", says: "SUBSCRIBE is answered with SUBACK", script: `
		a connect
		a> 82( 0001 {} '%/t' 00 )
		a< 90( 0001 {} 00 )`},
	{v311: "3.8.4-2", v5: "3.8.4-2", says: "SUBACK has the packet id of SUBSCRIBE", script: `
		a connect
		a> 82( ffff {} '%/t' 00 ) 82( 0001 {} '%/u' 01 )
		a< 90( ffff {} 00 )
		a< 90( 0001 {} 01 )`},
	{v311: "3.8.4-3", v5: "3.8.4-3", says: "a subscription with the same filter takes the place of the one before", script: `
		a connect
		a sub %/t 2
		a sub %/t 0
		b connect
		b pub %/t 2 x
		a get %/t 0 x
		a none
		a sub %/t 1
		b pub %/t 2 y
		a get %/t 1 y`},
	{v5: "3.8.4-4", says: "taking its place sends retained messages again and loses none", script: `
		b connect
		b pub %/t 1r kept
		a connect
		a sub %/t 1
		a get %/t 1r kept
		a sub %/t 1
		a get %/t 1r kept
		b pub %/t 1 x
		a get %/t 1 x`},
	{v311: "3.8.4-4", v5: "3.8.4-5", says: "several filters are taken one by one, with one SUBACK", script: `
		a connect
		a> 82( 0001 {} '%/1' 00 '%/2' 01 '%/1' 02 )
		a< 90( 0001 {} 00 01 02 )
		a none
		b connect
		b pub %/1 2 x
		b pub %/2 2 y
		a get %/1 2 x
		a get %/2 1 y`},
	{v311: "3.8.4-5", v5: "3.8.4-6", says: "SUBACK has a code for each filter", script: `
		a connect
		a> 82( 0001 {} '%/1' 00 '%/2' 01 '%/3' 02 )
		a< 90( 0001 {} 00 01 02 )
		a> 82( 0002 {} '%/1' 00 '%/#/x' 01 '%/2' 02 )
		a closes or 90( 0002 { * } 00 [80 8f] 02 )`},
	{v5: "3.8.4-7", says: "the code is the QoS that was granted, or why none", script: `
		a connect
		a> 82( 0001 () '%/1' 02 )
		a< 90( 0001 () 02 )
		a> 82( 0002 () '%/1' 02 '%/+x' 01 )
		a closes or 90( 0002 ( * ) 02 [80 8f] )`},
	{v311: "3.8.4-6", v5: "3.8.4-8", says: "the QoS sent is the lower of what was published and granted", script: `
		a connect
		a sub %/t 1
		b connect
		b pub %/t 0 zero
		b pub %/t 1 one
		b pub %/t 2 two
		a get %/t 0 zero
		a get %/t 1 one
		a get %/t 1 two`},
	{v5: "3.9.2-1", says: "no reason string that makes SUBACK too large", not: noReasonText},
	{v5: "3.9.2-2", says: "no user properties that make SUBACK too large", not: noReasonText},
	{v311: "3.9.3-1", v5: "3.9.3-1", says: "the codes have the order of the filters", script: `
		a connect
		a> 82( 0001 {} '%/1' 02 '%/2' 00 '%/3' 01 '%/4' 02 )
		a< 90( 0001 {} 02 00 01 02 )`},
	{v311: "3.9.3-2", v5: "3.9.3-2", says: "SUBACK carries codes of its table", script: `
		a connect
		a> 82( 0001 {} '%/1' 00 '%/2' 01 '%/3' 02 )
		a< 90( 0001 {} 00 01 02 )
		a> 82( 0002 {} '#x' 00 )
		a closes or 90( 0002 { * } [80 8f] )`},
}

var unsubscribeStatements = []statement{
	{v311: "3.10.1-1", v5: "3.10.1-1", says: "the flags of UNSUBSCRIBE are 2", script: `
		a connect
		a> a0( 0001 {} '%/t' )
		a end 81
		b connect
		b> a3( 0001 {} '%/t' )
		b end 81`},
	{v311: "3.10.3-1", v5: "3.10.3-1", says: "the filters of UNSUBSCRIBE are UTF-8", script: `
		a connect
		a> a2( 0001 {} <c1> )
		a end 81`},
	{v311: "3.10.3-2", v5: "3.10.3-2", says: "UNSUBSCRIBE has at least one filter", script: `
		a connect
		a> a2( 0001 {} )
		a end 82 81`},
	{v311: "3.10.4-1", v5: "3.10.4-1", says: "a subscription ends where its filter is the same, letter for letter", script: `
		a connect
		a sub %/+ 0
		a> a2( 0001 {} '%/t' )
		a< b0( 0001 * )
		b connect
		b pub %/t 0 x
		a get %/t 0 x
		a> a2( 0002 {} '%/+' )
		a< b0( 0002 * )
		b pub %/t 0 y
		a none`},
	{v311: "3.10.4-2", v5: "3.10.4-2", says: "after UNSUBACK no new messages come", script: `
		a connect
		a sub %/t 1
		b connect
		b pub %/t 1 x
		a get %/t 1 x
		a> a2( 0001 {} '%/t' )
		a< b0( 0001 * )
		b pub %/t 1 y
		a none`},
	{v311: "3.10.4-3", v5: "3.10.4-3", says: "deliveries that have begun are brought to their end", script: `
		a connect
		a sub %/t 2
		b connect
		b pub %/t 2 x
		a< 34( '%/t' $1 {} "x" )
		a> a2( 0001 {} '%/t' )
		a< b0( 0001 * )
		a> 50( $1 )
		a< 62( $1 )
		a> 70( $1 )
		a none`},
	{v311: "3.10.4-4", v5: "3.10.4-4", says: "UNSUBSCRIBE is answered with UNSUBACK with its packet id", script: `
		a connect
		a sub %/t 1
		a> a2( 1234 {} '%/t' )
		a< b0( 1234 * )`},
	{v311: "3.10.4-5", v5: "3.10.4-5", says: "UNSUBACK comes also where nothing was subscribed", script: `
		a connect
		a> a2( 1234 {} '%/t' )
		a< b0( 1234 * )`},
	{v311: "3.10.4-6", v5: "3.10.4-6", says: "several filters are taken one by one, with one UNSUBACK", script: `
		a connect
		a sub %/1 0
		a sub %/2 0
		a> a2( 0001 {} '%/1' '%/3' '%/2' )
		a< b0( 0001 * )
		b connect
		b pub %/1 0 x
		b pub %/2 0 x
		a none`},
	{v5: "3.11.2-1", says: "no reason string that makes UNSUBACK too large", not: noReasonText},
	{v5: "3.11.2-2", says: "no user properties that make UNSUBACK too large", not: noReasonText},
	{v5: "3.11.3-1", says: "the codes have the order of the filters", script: `
		a connect
		a sub %/1 0
		a sub %/3 0
		a> a2( 0001 () '%/1' '%/2' '%/3' )
		a< b0( 0001 () 00 11 00 )`},
	{v5: "3.11.3-2", says: "UNSUBACK carries codes of its table", script: `
		a connect
		a sub %/1 0
		a> a2( 0001 () '%/1' '%/1' )
		a< b0( 0001 () 00 11 )`},
}
