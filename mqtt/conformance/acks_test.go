package conformance

// Sections 3.4 to 3.7: PUBACK, PUBREC, PUBREL, PUBCOMP.

var ackStatements = []statement{
	{v5: "3.4.2-1", says: "PUBACK carries a reason code of its table", script: `
		a connect
		a> 32( '%/nobody' 0001 () "x" )
		a< 40( 0001 [00 10] )
		a sub %/t 1
		a> 32( '%/t' 0002 () "x" )
		a< 32( '%/t' $1 () "x" )
		a< 40( 0002 * )
		a> 40( $1 05 )
		a end 81 82`},
	{v5: "3.4.2-2", says: "no reason string that makes PUBACK too large", not: noReasonText},
	{v5: "3.4.2-3", says: "no user properties that make PUBACK too large", not: noReasonText},
	{v5: "3.5.2-1", says: "PUBREC carries a reason code of its table", script: `
		a connect
		a> 34( '%/nobody' 0001 () "x" )
		a< 50( 0001 * )
		a> 50( 0007 05 )
		a end 81 82`},
	{v5: "3.5.2-2", says: "no reason string that makes PUBREC too large", not: noReasonText},
	{v5: "3.5.2-3", says: "no user properties that make PUBREC too large", not: noReasonText},
	{v311: "3.6.1-1", v5: "3.6.1-1", says: "the flags of PUBREL are 2", script: `
		a connect
		a> 34( '%/t' 0001 {} "x" )
		a< 50( 0001 * )
		a> 60( 0001 )
		a end 81
		b connect
		b> 6a( 0001 )
		b end 81`},
	{v5: "3.6.2-1", says: "PUBREL carries a reason code of its table", script: `
		a connect
		a> 50( 0777 00 )
		a< 62( 0777 * )
		a> 62( 0001 80 )
		a end 81 82`},
	{v5: "3.6.2-2", says: "no reason string that makes PUBREL too large", not: noReasonText},
	{v5: "3.6.2-3", says: "no user properties that make PUBREL too large", not: noReasonText},
	{v5: "3.7.2-1", says: "PUBCOMP carries a reason code of its table", script: `
		a connect
		a> 62( 0777 )
		a< 70( 0777 * )
		a> 70( 0001 80 )
		a end 81 82`},
	{v5: "3.7.2-2", says: "no reason string that makes PUBCOMP too large", not: noReasonText},
	{v5: "3.7.2-3", says: "no user properties that make PUBCOMP too large", not: noReasonText},
}
