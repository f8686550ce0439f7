NAME whole-messages
ROWS
 N objective
 L C3[0]
 L C3[1]
 L C3[2]
 L C3[3]
 L C3[4]
 L C3[5]
 L C3[6]
 L C3[7]
 L C3[8]
 L C3[9]
 L C3[10]
 L C3[11]
 L D1[0]
 L D1[1]
 L D1[2]
 L D1[3]
 L D1[4]
 L D1[5]
 G V2[0]
 G V2[1]
 G V2[2]
 G V2[3]
 G V2[4]
 G V2[5]
COLUMNS
 s[0] objective 0
 s[0] C3[0] 1
 s[0] C3[1] 1
 s[0] C3[6] -1
 s[0] C3[7] -1
 s[0] D1[0] 1
 s[1] objective 0
 s[1] C3[0] -1
 s[1] C3[2] 1
 s[1] C3[6] 1
 s[1] C3[8] -1
 s[1] D1[1] 1
 s[2] objective 0
 s[2] C3[3] 1
 s[2] C3[4] 1
 s[2] C3[9] -1
 s[2] C3[10] -1
 s[2] D1[2] 1
 s[3] objective 0
 s[3] C3[2] -1
 s[3] C3[3] -1
 s[3] C3[8] 1
 s[3] C3[9] 1
 s[3] D1[3] 1
 s[4] objective 0
 s[4] C3[4] -1
 s[4] C3[5] 1
 s[4] C3[10] 1
 s[4] C3[11] -1
 s[4] D1[4] 1
 s[5] objective 0
 s[5] C3[1] -1
 s[5] C3[5] -1
 s[5] C3[7] 1
 s[5] C3[11] 1
 s[5] D1[5] 1
 T objective 5
 T D1[0] -1
 T D1[1] -1
 T D1[2] -1
 T D1[3] -1
 T D1[4] -1
 T D1[5] -1
 T V2[0] 1
 T V2[1] 1
 T V2[2] 1
 T V2[3] 1
 T V2[4] 1
 T V2[5] 1
 MARKER0 'MARKER' 'INTORG'
 o[0] objective 0
 o[0] C3[0] 2.6
 o[0] C3[6] -2.6
 o[1] objective 0
 o[1] C3[1] 2.6
 o[1] C3[7] -2.6
 o[2] objective 0
 o[2] C3[2] 2.6
 o[2] C3[8] -2.6
 o[3] objective 0
 o[3] C3[3] 2.6
 o[3] C3[9] -2.6
 o[4] objective 0
 o[4] C3[4] 2.6
 o[4] C3[10] -2.6
 o[5] objective 0
 o[5] C3[5] 2.6
 o[5] C3[11] -2.6
 MARKER1 'MARKER' 'INTEND'
RHS
 RHS C3[0] 1.9000000000000001
 RHS C3[1] 1.9000000000000001
 RHS C3[2] 2.3000000000000003
 RHS C3[3] 2.1
 RHS C3[4] 2.1
 RHS C3[5] 2.3000000000000003
 RHS C3[6] -0.3
 RHS C3[7] -0.3
 RHS C3[8] -0.5
 RHS C3[9] -0.5
 RHS C3[10] -0.3
 RHS C3[11] -0.3
 RHS D1[0] -0.7
 RHS D1[1] -0.3
 RHS D1[2] -0.5
 RHS D1[3] -0.5
 RHS D1[4] -0.3
 RHS D1[5] -0.3
 RHS V2[0] 1
 RHS V2[1] 1
 RHS V2[2] 0.6
 RHS V2[3] 0.8
 RHS V2[4] 1
 RHS V2[5] 0.8
RANGES
BOUNDS
 UP BOUND s[0] 1.9000000000000001
 UP BOUND s[1] 2.3000000000000003
 UP BOUND s[2] 2.1
 UP BOUND s[3] 2.1
 UP BOUND s[4] 2.3000000000000003
 UP BOUND s[5] 2.3000000000000003
 UP BOUND T 2.6
 UP BOUND o[0] 1
 UP BOUND o[1] 1
 UP BOUND o[2] 1
 UP BOUND o[3] 1
 UP BOUND o[4] 1
 UP BOUND o[5] 1
ENDATA
