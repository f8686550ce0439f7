NAME half-duplex-one-peer
ROWS
 N objective
 G C1[0]
 G C1[1]
 G C1[2]
 G C1[3]
 G C1[4]
 G C1[5]
COLUMNS
 l[0] objective 8
 l[0] C1[0] 1
 l[1] objective 8
 l[1] C1[1] 1
 l[2] objective 8
 l[2] C1[2] 1
 l[3] objective 8
 l[3] C1[3] 1
 l[4] objective 8
 l[4] C1[4] 1
 l[5] objective 8
 l[5] C1[5] 1
RHS
 RHS C1[0] 0.375
 RHS C1[1] 0.125
 RHS C1[2] 0.25
 RHS C1[3] 0.25
 RHS C1[4] 0.125
 RHS C1[5] 0.125
RANGES
BOUNDS
 UP BOUND l[0] 0.375
 UP BOUND l[1] 0.125
 UP BOUND l[2] 0.25
 UP BOUND l[3] 0.25
 UP BOUND l[4] 0.125
 UP BOUND l[5] 0.125
ENDATA
