package conformance

// Chapter 4: how it all works together.

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
	{v311: "4.7.1-1", v5: "4.7.0-1", says: "wildcards are for filters, not for topic names", script: `
		a connect
		a> 32( '+' 0001 {} "x" )
		a end 90
		b open
		b> 10( 'MQTT' VV 06 003c {} '%b' {} '%/#' 'gone' )
		b refused 90 -`},
	{v311: "4.7.1-2", v5: "4.7.1-1", says: "# is a whole level, and the last one", script: `
		a connect
		a sub %/# 0
		b connect
		b pub % 0 parent
		b pub %/x 0 child
		b pub %/x/y 0 grandchild
		a get % 0 parent
		a get %/x 0 child
		a get %/x/y 0 grandchild
		c connect
		c> 82( 0001 {} '%#' 00 )
		c closes or 90( 0001 {} [80 8f] )
		d connect
		d> 82( 0001 {} '%/#/x' 00 )
		d closes or 90( 0001 {} [80 8f] )`},
	{v311: "4.7.1-3", v5: "4.7.1-2", says: "+ is a whole level, anywhere", script: `
		a connect
		a sub %/+ 0
		a sub +/%x/+ 0
		b connect
		b pub %/ 0 empty
		b pub % 0 none
		b pub %/x/y 0 deep
		b pub q/%x/z 0 middle
		a get %/ 0 empty
		a get q/%x/z 0 middle
		a none
		c connect
		c> 82( 0001 {} '%+' 00 )
		c closes or 90( 0001 {} [80 8f] )
		d connect
		d> 82( 0001 {} '%/x+/y' 00 )
		d closes or 90( 0001 {} [80 8f] )`},
	{v311: "4.7.2-1", v5: "4.7.2-1", says: "filters that begin with a wildcard do not match topics that begin with $", script: `
		a connect
		a sub +/%/x 0
		b connect
		b pub $k/%/x 0 hidden
		b pub k/%/x 0 seen
		a get k/%/x 0 seen
		a none
		a sub $k/%/+ 0
		b pub $k/%/x 0 asked
		a get $k/%/x 0 asked`},
	{v311: "4.7.3-1", v5: "4.7.3-1", says: "topics and filters have at least one character", script: `
		a connect
		a> 30( '' {} "x" )
		a end 82 90
		b connect
		b> 82( 0001 {} '' 00 )
		b end 82 81 8f
		c open
		c> 10( 'MQTT' VV 06 003c {} '%c' {} '' 'gone' )
		c refused 90 -`},
	{v311: "4.7.3-2", v5: "4.7.3-2", says: "topics and filters hold no null character", script: `
		a connect
		a> 30( <61 00> {} "x" )
		a end 81
		b connect
		b> 82( 0001 {} <00> 00 )
		b end 81`},
	{v311: "4.7.3-3", v5: "4.7.3-3", says: "topics and filters of up to 65535 bytes are taken", script: `
		a connect
		a> 82( 0001 {} <~65500 "%"> 00 )
		a< 90( 0001 {} 00 )
		a> 30( <~65500 "%"> {} "x" )
		a< 30( <~65500 "%"> {} "x" )`},
	{v311: "4.7.3-4", v5: "4.7.3-4", says: "topics are compared as they are", script: `
		a connect
		a sub %/Kelvin 0
		a sub %//x 0
		a> 82( 0009 {} <"%/" c3a9> 00 )
		a< 90( 0009 {} 00 )
		b connect
		b pub %/kelvin 0 case
		b pub %/x 0 slash
		b> 30( <"%/" 65cc81> {} "composed" )
		b sync
		a none
		b> 30( <"%/" c3a9> {} "same" )
		a< 30( <"%/" c3a9> {} "same" )`},
	{v311: "4.8.0-1", says: "a violation of the protocol ends the connection", script: `
		a connect
		a> 90( 0001 00 )
		a end
		b connect
		b> d0()
		b end
		c connect
		c> 20( 00 00 )
		c end
		d connect
		d> f0()
		d end
		e connect
		e> 00()
		e end`},
	{v311: "4.8.0-2", says: "a transient error ends the connection", not: "TestStoreFaults in mqtt/broker: it takes a store that fails"},
	{v5: "4.8.2-1", says: "a shared subscription has a name of at least one character", script: `
		a connect
		a> 82( 0001 () '$share//%/t' 00 )
		a closes or 90( 0001 () [80 8f] )
		b connect
		b> 82( 0001 () '$share/g/%/t' 00 )
		b< 90( 0001 () 00 )`},
	{v5: "4.8.2-2", says: "the name of a share has no wildcards, and a filter behind it", script: `
		a connect
		a> 82( 0001 () '$share/g+/%/t' 00 )
		a closes or 90( 0001 () [80 8f] )
		b connect
		b> 82( 0001 () '$share/#/%/t' 00 )
		b closes or 90( 0001 () [80 8f] )
		c connect
		c> 82( 0001 () '$share/g' 00 )
		c closes or 90( 0001 () [80 8f] )
		d connect
		d> 82( 0001 () '$share/g/' 00 )
		d closes or 90( 0001 () [80 8f] )`},
	{v5: "4.8.2-3", says: "a share keeps to the QoS that each member was granted", script: `
		a connect
		a sub $share/g/%/t 0
		b connect
		b pub %/t 2 x
		b pub %/t 1 y
		a get %/t 0 x
		a get %/t 0 y`},
	{v5: "4.8.2-4", says: "a QoS 2 delivery of a share is ended with the member that began it", script: `
		a session new
		a sub $share/g/%/t 2
		b connect
		b pub %/t 2 x
		a< 34( '%/t' $1 () "x" )
		c connect
		c sub $share/g/%/t 2
		a cut
		a session present
		a< 3c( '%/t' $1 () "x" )
		c none`},
	{v5: "4.8.2-5", says: "a QoS 2 delivery of a share goes to nobody else when its session ends", script: `
		a connect
		a sub $share/g/%/t 2
		b connect
		b pub %/t 2 x
		a< 34( '%/t' $1 () "x" )
		c connect
		c sub $share/g/%/t 2
		a leave
		c none
		b pub %/t 2 y
		c get %/t 2 y`},
	{v5: "4.8.2-6", says: "what a member refuses goes to nobody else", script: `
		a connect
		a sub $share/g/%/t 1
		b connect
		b pub %/t 1 x
		a< 32( '%/t' $1 () "x" )
		c connect
		c sub $share/g/%/t 1
		a> 40( $1 80 )
		a none
		c none`},
	{v5: "4.9.0-1", says: "the send quota begins with at most Receive Maximum", script: `
		a open
		a> 10( 'MQTT' 05 02 003c ( 21 0001 ) '%a' )
		a< 20( 00 00 * )
		a sub %/t 1
		b connect
		b pub %/t 1 x
		b pub %/t 1 y
		a< 32( '%/t' $1 () "x" )
		a none
		a> 40( $1 )
		a get %/t 1 y`},
	{v5: "4.9.0-2", says: "with no quota left no PUBLISH of QoS over 0 is sent, and others are", script: `
		a open
		a> 10( 'MQTT' 05 02 003c ( 21 0001 ) '%a' )
		a< 20( 00 00 * )
		a sub %/t 1
		b connect
		b pub %/t 1 x
		b pub %/t 1 y
		b pub %/t 0 z
		a< 32( '%/t' $1 () "x" )
		a< 30( '%/t' () "z" )
		a none`},
	{v5: "4.9.0-3", says: "with no quota left all other packets are processed", script: `
		a open
		a> 10( 'MQTT' 05 02 003c ( 21 0001 ) '%a' )
		a< 20( 00 00 * )
		a sub %/t 1
		b connect
		b pub %/t 1 x
		a< 32( '%/t' $1 () "x" )
		a> 34( '%/u' 0001 () "x" )
		a< 50( 0001 * )
		a> 62( 0001 )
		a< 70( 0001 )
		a> 82( 0002 () '%/v' 00 )
		a< 90( 0002 () 00 )
		a none`},
	{v5: "4.12.0-1", says: "an unknown authentication method is refused with 8C", script: `
		a open
		a> 10( 'MQTT' 05 02 003c ( 15 'SCRAM-SHA-1' 16 <0102> ) '%a' )
		a refused 8c`},
	{v5: "4.12.0-2", says: "a server's AUTH asks to continue", not: "our broker has no enhanced authentication"},
	{v5: "4.12.0-3", says: "a client's AUTH continues", not: "our client has no enhanced authentication"},
	{v5: "4.12.0-4", says: "a failed authentication ends the connection", not: "our broker has no enhanced authentication"},
	{v5: "4.12.0-5", says: "the method is the same throughout", not: "our broker has no enhanced authentication"},
	{v5: "4.12.0-6", says: "without a method in CONNECT a server sends no AUTH and none in CONNACK", script: `
		a open
		a> 10( 'MQTT' 05 02 003c () '%a' )
		a< 20( 00 00 (*) )
		a announces -15
		a none`},
	{v5: "4.12.0-7", says: "without a method in CONNECT a client sends no AUTH", script: `
		a connect
		a> f0( 18 ( 15 'x' ) )
		a end 82 8c`},
	{v5: "4.12.1-1", says: "authentication again takes an authentication before", script: `
		a connect
		a> f0( 19 ( 15 'x' ) )
		a end 82 8c`},
	{v5: "4.12.1-2", says: "a failed authentication again ends the connection", not: "our broker has no enhanced authentication"},
	{v5: "4.13.1-1", says: "a malformed packet, or one against the protocol, ends the connection", script: `
		a connect
		a> 00()
		a end 81
		b connect
		b> 90( 0001 () 00 )
		b end 82
		c connect
		c> d0()
		c end 82
		d connect
		d> 20( 00 00 () )
		d end 82
		e connect
		e> c0( 00 )
		e end 81`},
	{v5: "4.13.2-1", says: "after a CONNACK or DISCONNECT of failure the connection is closed", script: `
		a connect
		a> 36( '%/t' 0001 () "x" )
		a end 81
		b open
		b> 10( 'MQTT' 09 02 003c () '%b' )
		b refused 84`},
}
