package conformance

// Chapter 4 up to 4.6: sessions, delivery, order.

var chapter4 = []statement{
	{v311: "4.1.0-1", v5: "4.1.0-1", says: "the state of a session is kept while the connection is open", script: `
		a open
		a> 10( 'MQTT' VV 02 0000 {} '%a' )
		a< 20( 00 00 * )
		a sub %/t 1
		b connect
		wait 1200ms
		b pub %/t 1 x
		a get %/t 1 x`},
	{v311: "4.1.0-2", says: "a session lasts at least as long as its connection", script: `
		a session new
		a sub %/t 1
		b connect
		b pub %/t 1 x
		a get %/t 1 x
		a leave
		a session present`},
	{v5: "4.1.0-2", says: "the state of a session is gone when its expiry has passed", script: `
		a open
		a> 10( 'MQTT' 05 00 003c ( 11 00000001 ) '%a' )
		a< 20( 00 00 * )
		a leave
		wait 2500ms
		a session new`},
	{v311: "4.2.0-1", v5: "4.2.0-1", says: "the transport carries bytes in order and without loss", script: `
		a connect
		a sub %/t 0
		a> 30( '%/t' {} ~100000 )
		a< 30( '%/t' {} ~100000 )`},
	{v311: "4.3.1-1", v5: "4.3.1-1", says: "QoS 0 is sent as such, without DUP", script: `
		a connect
		a sub %/t 0
		b connect
		b pub %/t 2 x
		a< 30( '%/t' {} "x" )`},
	{v311: "4.3.2-1", v5: "4.3.2-1", says: "QoS 1: a new message gets an id that is free", script: `
		a connect
		a sub %/t 1
		b connect
		b pub %/t 1 one
		b pub %/t 1 two
		a< 32( '%/t' $1 {} "one" )
		a< 32( '%/t' $2 {} "two" )
		different $1 $2`},
	{v5: "4.3.2-2", says: "QoS 1: the first PUBLISH has no DUP", script: `
		a connect
		a sub %/t 1
		b connect
		b pub %/t 1 x
		a< 32( '%/t' $1 () "x" )`},
	{v5: "4.3.2-3", says: "QoS 1: a PUBLISH is open until PUBACK", script: `
		a session new
		a sub %/t 1
		b connect
		b pub %/t 1 x
		a< 32( '%/t' $1 () "x" )
		a cut
		a session present
		a< 3a( '%/t' $1 () "x" )
		a> 40( $1 )
		a sync
		a cut
		a session present
		a none`},
	{v311: "4.3.2-2", v5: "4.3.2-4", says: "QoS 1: the receiver answers with PUBACK", script: `
		a connect
		a> 32( '%/t' 0009 {} "x" )
		a< 40( 0009 * )`},
	{v5: "4.3.2-5", says: "QoS 1: after PUBACK the id is a new message's, whatever its DUP", script: `
		b connect
		b sub %/t 1
		a connect
		a> 32( '%/t' 0009 () "x" )
		a< 40( 0009 * )
		a> 3a( '%/t' 0009 () "x" )
		a< 40( 0009 * )
		b get %/t 1 x
		b get %/t 1 x`},
	{v311: "4.3.3-1", v5: "4.3.3-1", says: "QoS 2: a new message gets an id that is free", script: `
		a connect
		a sub %/t 2
		b connect
		b pub %/t 2 one
		b pub %/t 2 two
		a< 34( '%/t' $1 {} "one" )
		a> 50( $1 )
		a< 34( '%/t' $2 {} "two" )
		a< 62( $1 )
		different $1 $2`},
	{v5: "4.3.3-2", says: "QoS 2: the first PUBLISH has no DUP", script: `
		a connect
		a sub %/t 2
		b connect
		b pub %/t 2 x
		a< 34( '%/t' $1 () "x" )`},
	{v5: "4.3.3-3", says: "QoS 2: a PUBLISH is open until PUBREC", script: `
		a session new
		a sub %/t 2
		b connect
		b pub %/t 2 x
		a< 34( '%/t' $1 () "x" )
		a cut
		a session present
		a< 3c( '%/t' $1 () "x" )`},
	{v5: "4.3.3-4", says: "QoS 2: PUBREC is answered with PUBREL of the same id", script: `
		a connect
		a sub %/t 2
		b connect
		b pub %/t 2 x
		a< 34( '%/t' $1 () "x" )
		a> 50( $1 )
		a< 62( $1 * )
		a> 70( $1 )
		a none`},
	{v5: "4.3.3-5", says: "QoS 2: PUBREL is open until PUBCOMP", script: `
		a session new
		a sub %/t 2
		b connect
		b pub %/t 2 x
		a< 34( '%/t' $1 () "x" )
		a> 50( $1 )
		a< 62( $1 * )
		a cut
		a session present
		a< 62( $1 * )
		a> 70( $1 )
		a sync
		a cut
		a session present
		a none`},
	{v5: "4.3.3-6", says: "QoS 2: no PUBLISH again once PUBREL was sent", script: `
		a session new
		a sub %/t 2
		b connect
		b pub %/t 2 x
		a< 34( '%/t' $1 () "x" )
		a> 50( $1 )
		a< 62( $1 * )
		a cut
		a session present
		a< 62( $1 * )
		a none`},
	{v5: "4.3.3-7", says: "QoS 2: a PUBLISH that was sent does not expire", script: `
		a session new
		a sub %/t 2
		b connect
		b> 34( '%/t' 0001 ( 02 00000001 ) "x" )
		b< 50( 0001 * )
		b> 62( 0001 )
		b< 70( 0001 * )
		a< 34( '%/t' $1 ( 02 00000001 ) "x" )
		a cut
		wait 2100ms
		a session present
		a< 3c( '%/t' $1 (*) "x" )`},
	{v5: "4.3.3-8", says: "QoS 2: the receiver answers with PUBREC", script: `
		a connect
		a> 34( '%/t' 0009 () "x" )
		a< 50( 0009 * )`},
	{v5: "4.3.3-9", says: "QoS 2: after a PUBREC that refuses, the id is a new message's", not: "TestRights in mqtt/broker: it takes a broker with rights"},
	{v311: "4.3.3-2", v5: "4.3.3-10", says: "QoS 2: until PUBREL the same id is the same message, and passed on once", script: `
		b connect
		b sub %/t 2
		a connect
		a> 34( '%/t' 0009 {} "x" )
		a< 50( 0009 * )
		a> 3c( '%/t' 0009 {} "x" )
		a< 50( 0009 * )
		a> 62( 0009 )
		a< 70( 0009 * )
		b get %/t 2 x
		b none`},
	{v5: "4.3.3-11", says: "QoS 2: PUBREL is answered with PUBCOMP", script: `
		a connect
		a> 34( '%/t' 0009 () "x" )
		a< 50( 0009 * )
		a> 62( 0009 )
		a< 70( 0009 )`},
	{v5: "4.3.3-12", says: "QoS 2: after PUBCOMP the id is a new message's", script: `
		b connect
		b sub %/t 0
		a connect
		a> 34( '%/t' 0009 () "x" )
		a< 50( 0009 * )
		a> 62( 0009 )
		a< 70( 0009 )
		a> 34( '%/t' 0009 () "x" )
		a< 50( 0009 * )
		a> 62( 0009 )
		a< 70( 0009 )
		b get %/t 0 x
		b get %/t 0 x`},
	{v5: "4.3.3-13", says: "QoS 2: the exchange goes on although the message has expired", script: `
		a connect
		a> 34( '%/t' 0009 ( 02 00000001 ) "x" )
		a< 50( 0009 * )
		wait 2100ms
		a> 62( 0009 )
		a< 70( 0009 )`},
	{v311: "4.4.0-1", v5: "4.4.0-1", says: "with the session, and only then, what is open is sent again with its ids", script: `
		a session new
		a sub %/t 2
		b connect
		b pub %/t 1 one
		b pub %/t 2 two
		b pub %/t 2 three
		a< 32( '%/t' $1 {} "one" )
		a< 34( '%/t' $2 {} "two" )
		a< 34( '%/t' $3 {} "three" )
		a> 50( $2 )
		a< 62( $2 * )
		a none
		a cut
		a session present
		a< 3a( '%/t' $1 {} "one" )
		a< 62( $2 * )
		a< 3c( '%/t' $3 {} "three" )
		a none`},
	{v5: "4.4.0-2", says: "an acknowledgement that refuses ends the delivery", script: `
		a session new
		a sub %/t 2
		b connect
		b pub %/t 1 one
		b pub %/t 2 two
		a< 32( '%/t' $1 () "one" )
		a< 34( '%/t' $2 () "two" )
		a> 40( $1 80 ) 50( $2 97 )
		a none
		a cut
		a session present
		a none`},
	{v311: "4.5.0-1", v5: "4.5.0-1", says: "a message goes into the session of every client that has a subscription for it", script: `
		a session new
		a sub %/t 1
		a leave
		b session new
		b sub %/# 2
		c connect
		c sub %/+ 0
		d connect
		d pub %/t 1 x
		a session present
		a get %/t 1 x
		b get %/t 1 x
		c get %/t 0 x`},
	{v311: "4.5.0-2", v5: "4.5.0-2", says: "a client acknowledges what it gets as its QoS asks", client: `
		do connect
		c> 32( 't' 0005 {} "x" )
		c< 40( 0005 * )
		c> 34( 't' 0006 {} "x" )
		c< 50( 0006 * )
		c> 62( 0006 )
		c< 70( 0006 * )`},
	{v311: "4.6.0-1", v5: "4.6.0-1", says: "what is sent again keeps its order", script: `
		a session new
		a sub %/t 2
		b connect
		b pub %/t 1 one
		b pub %/t 2 two
		b pub %/t 1 three
		a< 32( '%/t' $1 {} "one" )
		a< 34( '%/t' $2 {} "two" )
		a< 32( '%/t' $3 {} "three" )
		a cut
		a session present
		a< 3a( '%/t' $1 {} "one" )
		a< 3c( '%/t' $2 {} "two" )
		a< 3a( '%/t' $3 {} "three" )`},
	{v311: "4.6.0-2", v5: "4.6.0-2", says: "PUBACK comes in the order of the messages", client: `
		do connect
		c> 32( 't' 0005 {} "x" ) 32( 't' 0003 {} "y" ) 32( 't' 0004 {} "z" )
		c< 40( 0005 * )
		c< 40( 0003 * )
		c< 40( 0004 * )`},
	{v311: "4.6.0-2", v5: "4.6.0-2", says: "the server's PUBACK comes in the order of the messages too", script: `
		a connect
		a> 32( '%/t' 0005 {} "x" ) 32( '%/t' 0003 {} "y" ) 32( '%/t' 0004 {} "z" )
		a< 40( 0005 * )
		a< 40( 0003 * )
		a< 40( 0004 * )`},
	{v311: "4.6.0-3", v5: "4.6.0-3", says: "PUBREC comes in the order of the messages", client: `
		do connect
		c> 34( 't' 0005 {} "x" ) 34( 't' 0003 {} "y" ) 34( 't' 0004 {} "z" )
		c< 50( 0005 * )
		c< 50( 0003 * )
		c< 50( 0004 * )`},
	{v311: "4.6.0-4", v5: "4.6.0-4", says: "PUBREL comes in the order of the PUBRECs", client: `
		do connect
		do publish t 2 x
		c< 34( 't' $1 {} "x" )
		do publish t 2 y
		c< 34( 't' $2 {} "y" )
		c> 50( $2 ) 50( $1 )
		c< 62( $2 * )
		c< 62( $1 * )`},
	{v311: "4.6.0-4", v5: "4.6.0-4", says: "the server's PUBREL comes in the order of the PUBRECs too", script: `
		a connect
		a sub %/t 2
		b connect
		b pub %/t 2 x
		b pub %/t 2 y
		a< 34( '%/t' $1 {} "x" )
		a< 34( '%/t' $2 {} "y" )
		a> 50( $2 ) 50( $1 )
		a< 62( $2 * )
		a< 62( $1 * )`},
	{v311: "4.6.0-6", v5: "4.6.0-5", says: "messages of a client on a topic arrive in the order in which they came", script: `
		a connect
		a sub %/t 2
		b connect
		b> 32( '%/t' 0001 {} "1" ) 32( '%/t' 0002 {} "2" ) 32( '%/t' 0003 {} "3" ) 32( '%/t' 0004 {} "4" )
		b> 30( '%/u' {} "5" )
		b< 40( 0001 * )
		a get %/t 1 1
		a get %/t 1 2
		a get %/t 1 3
		a get %/t 1 4`},
	{v311: "4.6.0-5", v5: "4.6.0-6", says: "every topic is an ordered one", script: `
		a session new
		a sub %/t 1
		a leave
		b connect
		b pub %/t 1 1
		b pub %/t 1 2
		b pub %/t 1 3
		a session present
		a get %/t 1 1
		a get %/t 1 2
		a get %/t 1 3`},
}
