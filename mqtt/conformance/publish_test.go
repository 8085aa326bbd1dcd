package conformance

// Section 3.3: PUBLISH.

var publishStatements = []statement{
	{v311: "3.3.1-1", v5: "3.3.1-1", says: "what is sent again has DUP", script: `
		a session new
		a sub %/t 1
		b connect
		b pub %/t 1 x
		a< 32( '%/t' $1 {} "x" )
		a cut
		a session present
		a< 3a( '%/t' $1 {} "x" )`},
	{v311: "3.3.1-2", v5: "3.3.1-2", says: "QoS 0 has no DUP", script: `
		a connect
		a> 38( '%/t' {} "x" )
		a end 81`},
	{v311: "3.3.1-3", v5: "3.3.1-3", says: "DUP is not passed on", script: `
		a connect
		a sub %/t 1
		b connect
		b> 3a( '%/t' 0001 {} "x" )
		b< 40( 0001 * )
		a get %/t 1 x`},
	{v311: "3.3.1-4", v5: "3.3.1-4", says: "QoS 3 ends the connection", script: `
		a connect
		a> 36( '%/t' 0001 {} "x" )
		a end 81`},
	{v311: "3.3.1-5", v5: "3.3.1-5", says: "a retained message is kept with its QoS for those who come later, in place of the one before", script: `
		a connect
		a pub %/t 1r old
		a pub %/t 2r new
		b connect
		b sub %/t 2
		b get %/t 2r new
		b none`},
	{v311: "3.3.1-6", says: "a new subscription gets the last retained message of each topic", script: `
		a connect
		a pub %/1 1r one
		a pub %/1 1r two
		b connect
		b sub %/+ 1
		b get %/1 1r two
		b none`},
	{v311: "3.3.1-7", says: "a retained message of QoS 0 takes the place of the one before", script: `
		a connect
		a pub %/t 1r old
		a pub %/t 0r new
		b connect
		b sub %/t 1
		b get %/t 0r new`},
	{v311: "3.3.1-8", says: "what is sent because of a new subscription has RETAIN", script: `
		a connect
		a pub %/t 1r x
		b connect
		b sub %/t 1
		b get %/t 1r x`},
	{v311: "3.3.1-9", v5: "3.3.1-12", says: "what is sent to a subscription that was there has no RETAIN", script: `
		b connect
		b sub %/t 1
		a connect
		a pub %/t 1r x
		b get %/t 1 x`},
	{v311: "3.3.1-10", v5: "3.3.1-6", says: "an empty retained message is sent to subscribers and removes what was kept", script: `
		b connect
		b sub %/t 1
		a connect
		a pub %/t 1r x
		a pub %/t 1r -
		b get %/t 1 x
		b get %/t 1 -
		c connect
		c sub %/t 1
		c none`},
	{v311: "3.3.1-11", v5: "3.3.1-7", says: "an empty message is not kept", script: `
		a connect
		a pub %/t 1r -
		c connect
		c sub %/t 1
		c none`},
	{v311: "3.3.1-12", v5: "3.3.1-8", says: "without RETAIN nothing is kept, replaced or removed", script: `
		a connect
		a pub %/t 1r kept
		a pub %/t 1 x
		a pub %/t 1 -
		c connect
		c sub %/t 1
		c get %/t 1r kept
		c none`},
	{v5: "3.3.1-9", says: "retain handling 0: retained messages are sent with each SUBSCRIBE", script: `
		a connect
		a pub %/t 1r x
		b connect
		b sub %/t 01
		b get %/t 1r x
		b sub %/t 01
		b get %/t 1r x`},
	{v5: "3.3.1-10", says: "retain handling 1: retained messages are sent with a new subscription only", script: `
		a connect
		a pub %/t 1r x
		b connect
		b sub %/t 11
		b get %/t 1r x
		b sub %/t 11
		b none`},
	{v5: "3.3.1-11", says: "retain handling 2: no retained messages are sent", script: `
		a connect
		a pub %/t 1r x
		b connect
		b sub %/t 21
		b none`},
	{v5: "3.3.1-13", says: "with Retain As Published RETAIN is passed on as it came", script: `
		b connect
		b sub %/t 09
		a connect
		a pub %/t 1r x
		a pub %/t 1 y
		b get %/t 1r x
		b get %/t 1 y`},
	{v311: "3.3.2-1", v5: "3.3.2-1", says: "the topic is the first field, and UTF-8", script: `
		a connect
		a> 30( <f8> {} "x" )
		a end 81
		b connect
		b> 30()
		b end 81
		c connect
		c> 30( 0005 "abc" )
		c end 81`},
	{v311: "3.3.2-2", v5: "3.3.2-2", says: "the topic of a PUBLISH has no wildcards", script: `
		a connect
		a> 30( '%/+' {} "x" )
		a end 90
		b connect
		b> 30( '%/#' {} "x" )
		b end 90`},
	{v311: "3.3.2-3", v5: "3.3.2-3", says: "what a server sends matches the filter of a subscription", script: `
		a connect
		a sub %/+/x 0
		b connect
		b pub %/1/x 0 yes
		b pub %/1/y 0 no
		b pub %/1/x/z 0 no
		a get %/1/x 0 yes
		a none`},
	{v5: "3.3.2-4", says: "the payload format indicator is passed on unchanged", script: `
		a connect
		a sub %/t 0
		b connect
		b> 30( '%/t' ( 01 01 ) "x" )
		a< 30( '%/t' ( 01 01 ) "x" )`},
	{v5: "3.3.2-5", says: "an expired message is not sent", script: `
		a session new
		a sub %/t 1
		a leave
		b connect
		b> 32( '%/t' 0001 ( 02 00000001 ) "old" )
		b< 40( 0001 * )
		b pub %/t 1 new
		wait 2100ms
		a session present
		a get %/t 1 new
		a none`},
	{v5: "3.3.2-6", says: "the expiry that is sent is less the time waited", script: `
		a session new
		a sub %/t 1
		a leave
		b connect
		b> 32( '%/t' 0001 ( 02 000000ff ) "x" )
		b< 40( 0001 * )
		wait 1100ms
		a session present
		a< 32( '%/t' $1 ( 02 000000 [f0 f1 f2 f3 f4 f5 f6 f7 f8 f9 fa fb fc fd fe] ) "x" )`},
	{v5: "3.3.2-7", says: "topic aliases end with the connection", script: `
		a session new
		a> 30( '%/t' ( 23 0001 ) "x" )
		a sync
		a cut
		a session present
		a> 30( '' ( 23 0001 ) "x" )
		a end 82`},
	{v5: "3.3.2-8", says: "a topic alias is not 0", script: `
		a connect
		a> 30( '%/t' ( 23 0000 ) "x" )
		a end 94`},
	{v5: "3.3.2-9", says: "a topic alias above the server's maximum ends the connection", script: `
		a connect
		a> 30( '%/t' ( 23 ffff ) "x" )
		a end 94`},
	{v5: "3.3.2-10", says: "a client takes all topic aliases that it allowed", not: "TestAliases in mqtt/client: it takes a CONNECT that allows them"},
	{v5: "3.3.2-11", says: "a server sends no topic alias above the client's maximum", script: `
		a open
		a> 10( 'MQTT' 05 02 003c ( 22 0002 ) '%a' )
		a< 20( 00 00 * )
		a sub %/+ 0
		b connect
		b pub %/1 0 x
		b pub %/2 0 x
		b pub %/3 0 x
		a< 30( '%/1' [00 03] * )
		a< 30( '%/2' [00 03] * )
		a< 30( '%/3' 00 "x" )`},
	{v5: "3.3.2-12", says: "a server takes all topic aliases that it allowed", script: `
		b connect
		b sub %/+ 0
		a connect
		a> 30( '%/1' ( 23 0001 ) "a" ) 30( '%/2' ( 23 000a ) "b" )
		a> 30( '' ( 23 0001 ) "c" ) 30( '' ( 23 000a ) "d" ) 30( '%/3' ( 23 0001 ) "e" ) 30( '' ( 23 0001 ) "f" )
		b get %/1 0 a
		b get %/2 0 b
		b get %/1 0 c
		b get %/2 0 d
		b get %/3 0 e
		b get %/3 0 f`},
	{v5: "3.3.2-13", says: "the response topic is UTF-8", script: `
		a connect
		a> 30( '%/t' ( 08 <c0> ) "x" )
		a end 81`},
	{v5: "3.3.2-14", says: "the response topic has no wildcards", script: `
		a connect
		a> 30( '%/t' ( 08 'a/+' ) "x" )
		a end 90
		b connect
		b> 30( '%/t' ( 08 '#' ) "x" )
		b end 90`},
	{v5: "3.3.2-15", says: "the response topic is passed on unchanged", script: `
		a connect
		a sub %/t 0
		b connect
		b> 30( '%/t' ( 08 'r/s' ) "x" )
		a< 30( '%/t' ( 08 'r/s' ) "x" )`},
	{v5: "3.3.2-16", says: "the correlation data are passed on unchanged", script: `
		a connect
		a sub %/t 0
		b connect
		b> 30( '%/t' ( 09 <00ff00> ) "x" )
		a< 30( '%/t' ( 09 <00ff00> ) "x" )`},
	{v5: "3.3.2-17", says: "user properties are passed on unchanged", script: `
		a connect
		a sub %/t 0
		b connect
		b> 30( '%/t' ( 26 '' '' 26 'k' 'v' ) "x" )
		a< 30( '%/t' ( 26 '' '' 26 'k' 'v' ) "x" )`},
	{v5: "3.3.2-18", says: "user properties keep their order, and may repeat", script: `
		a session new
		a sub %/t 1
		a leave
		b connect
		b> 33( '%/t' 0001 ( 26 'b' '1' 26 'a' '2' 26 'b' '1' 26 'b' '0' ) "x" )
		b< 40( 0001 * )
		a session present
		a< 32( '%/t' $1 ( 26 'b' '1' 26 'a' '2' 26 'b' '1' 26 'b' '0' ) "x" )
		c connect
		c sub %/t 0
		c< 31( '%/t' ( 26 'b' '1' 26 'a' '2' 26 'b' '1' 26 'b' '0' ) "x" )`},
	{v5: "3.3.2-19", says: "the content type is UTF-8", script: `
		a connect
		a> 30( '%/t' ( 03 <80> ) "x" )
		a end 81`},
	{v5: "3.3.2-20", says: "the content type is passed on unchanged", script: `
		a connect
		a sub %/t 0
		b connect
		b> 30( '%/t' ( 03 'text/plain' ) "x" )
		a< 30( '%/t' ( 03 'text/plain' ) "x" )`},
	{v311: "3.3.4-1", v5: "3.3.4-1", says: "a PUBLISH is answered as its QoS asks", script: `
		a connect
		a> 30( '%/t' {} "x" )
		a none
		a> 32( '%/t' 0001 {} "x" )
		a< 40( 0001 * )
		a> 34( '%/t' 0002 {} "x" )
		a< 50( 0002 * )`},
	{v311: "3.3.5-1", v5: "3.3.4-2", says: "overlapping subscriptions deliver with the highest QoS of them", script: `
		a connect
		a sub %/# 0
		a sub %/+ 2
		a sub %/t 1
		b connect
		b pub %/t 2 x
		a get %/t 2 x`},
	{v311: "3.3.5-2", says: "before MQTT 5 a server has no way to refuse a PUBLISH but to acknowledge or to close", not: "TestRights in mqtt/broker: it takes a broker with rights"},
	{v5: "3.3.4-3", says: "the subscription identifier is sent with what it matched", script: `
		a connect
		a> 82( 0001 ( 0b 7f ) '%/1' 01 )
		a< 90( 0001 () 01 )
		a> 82( 0002 ( 0b 8001 ) '%/2' 01 )
		a< 90( 0002 () 01 )
		a> 82( 0003 ( 0b ffffff7f ) '%/3' 01 )
		a< 90( 0003 () 01 )
		b connect
		b pub %/1 0 x
		b pub %/2 0 x
		b pub %/3 0 x
		a< 30( '%/1' ( 0b 7f ) "x" )
		a< 30( '%/2' ( 0b 8001 ) "x" )
		a< 30( '%/3' ( 0b ffffff7f ) "x" )`},
	{v5: "3.3.4-4", says: "one copy for several subscriptions carries all their identifiers", script: `
		a connect
		a> 82( 0001 ( 0b 01 ) '%/+' 01 )
		a< 90( 0001 () 01 )
		a> 82( 0002 ( 0b 02 ) '%/t' 01 )
		a< 90( 0002 () 01 )
		b connect
		b pub %/t 0 x
		a< 30( '%/t' ( 0b [01 02] 0b [01 02] ) "x" )`},
	{v5: "3.3.4-5", says: "of several copies each carries its own identifier", not: "our broker sends one copy"},
	{v5: "3.3.4-6", says: "a client's PUBLISH has no subscription identifier", script: `
		a connect
		a> 30( '%/t' ( 0b 01 ) "x" )
		a end 82 81`},
	{v5: "3.3.4-7", says: "a client keeps to the server's Receive Maximum", client: `
		answer 20( 00 00 ( 21 0002 ) )
		do connect
		do publish t 1 a
		do publish t 1 b
		do publish t 1 c
		c< 32( 't' $1 () "a" )
		c< 32( 't' $2 () "b" )
		c none
		c> 40( $1 )
		c< 32( 't' $3 () "c" )`},
	{v5: "3.3.4-8", says: "a client with a full window still sends other packets", client: `
		answer 20( 00 00 ( 21 0001 ) )
		do connect
		do publish t 1 a
		c< 32( 't' $1 () "a" )
		do publish t 1 b
		do subscribe f 0
		c< 82( $2 () 'f' * )
		c> 90( $2 () 00 )
		done 1`},
	{v5: "3.3.4-9", says: "a server keeps to the client's Receive Maximum", script: `
		a open
		a> 10( 'MQTT' 05 02 003c ( 21 0002 ) '%a' )
		a< 20( 00 00 * )
		a sub %/t 2
		b connect
		b pub %/t 1 one
		b pub %/t 2 two
		b pub %/t 1 three
		a< 32( '%/t' $1 () "one" )
		a< 34( '%/t' $2 () "two" )
		a none
		a> 50( $2 )
		a< 62( $2 )
		a none
		a> 40( $1 )
		a get %/t 1 three`},
	{v5: "3.3.4-10", says: "a full window holds no other packets back", script: `
		a open
		a> 10( 'MQTT' 05 02 003c ( 21 0001 ) '%a' )
		a< 20( 00 00 * )
		a sub %/t 1
		b connect
		b pub %/t 1 one
		b pub %/t 1 two
		a< 32( '%/t' $1 () "one" )
		a> 82( 0009 () '%/u' 01 )
		a< 90( 0009 () 01 )
		a> a2( 000a () '%/u' )
		a< b0( 000a () 00 )
		a pub %/v 2 x
		a none`},
}
