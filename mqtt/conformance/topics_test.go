package conformance

// Chapter 4 from 4.7 on: topics, shares, flow control, authentication, errors.

var topicStatements = []statement{
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
		c closes or 90( 0001 { * } [80 8f] )
		d connect
		d> 82( 0001 {} '%/#/x' 00 )
		d closes or 90( 0001 { * } [80 8f] )`},
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
		c closes or 90( 0001 { * } [80 8f] )
		d connect
		d> 82( 0001 {} '%/x+/y' 00 )
		d closes or 90( 0001 { * } [80 8f] )`},
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
		a get $k/%/x 0 asked
		b pub $k/%/r 0r hidden
		b pub k/%/r 0r seen
		c connect
		c sub +/%/r 0
		c get k/%/r 0r seen
		c none`},
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
		a closes or 90( 0001 ( * ) [80 8f] )
		b connect
		b> 82( 0001 () '$share/g/%/t' 00 )
		b< 90( 0001 () 00 )`},
	{v5: "4.8.2-2", says: "the name of a share has no wildcards, and a filter behind it", script: `
		a connect
		a> 82( 0001 () '$share/g+/%/t' 00 )
		a closes or 90( 0001 ( * ) [80 8f] )
		b connect
		b> 82( 0001 () '$share/#/%/t' 00 )
		b closes or 90( 0001 ( * ) [80 8f] )
		c connect
		c> 82( 0001 () '$share/g' 00 )
		c closes or 90( 0001 ( * ) [80 8f] )
		d connect
		d> 82( 0001 () '$share/g/' 00 )
		d closes or 90( 0001 ( * ) [80 8f] )`},
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
