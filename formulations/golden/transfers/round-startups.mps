NAME round-startups
ROWS
 N objective
 G C1[0]
 G C1[1]
 G C1[2]
 G C1[3]
 G C1[4]
 G C1[5]
 L C10[0]
 L C10[1]
 L C10[2]
 L C10[3]
 L C10[4]
 G V1[0]
 G V1[1]
 G V1[2]
 G V1[3]
 G V1[4]
 G V1[5]
COLUMNS
 l[0] objective 4
 l[0] C1[0] 1
 l[0] C1[2] 1
 l[0] C10[0] 1
 l[1] objective 4
 l[1] C1[0] 1
 l[1] C1[3] 1
 l[1] C1[4] 1
 l[1] C10[1] 1
 l[2] objective 4
 l[2] C1[1] 1
 l[2] C1[2] 1
 l[2] C1[5] 1
 l[2] C10[2] 1
 l[3] objective 4
 l[3] C1[1] 1
 l[3] C1[4] 1
 l[3] C10[3] 1
 l[4] objective 4
 l[4] C1[3] 1
 l[4] C1[5] 1
 l[4] C10[4] 1
 MARKER0 'MARKER' 'INTORG'
 z[0] objective 0.75
 z[0] C10[0] -0.75
 z[0] V1[0] 1
 z[0] V1[2] 1
 z[1] objective 0.75
 z[1] C10[1] -0.75
 z[1] V1[0] 1
 z[1] V1[3] 1
 z[1] V1[4] 1
 z[2] objective 0.75
 z[2] C10[2] -0.5
 z[2] V1[1] 1
 z[2] V1[2] 1
 z[2] V1[5] 1
 z[3] objective 0.75
 z[3] C10[3] -0.25
 z[3] V1[1] 1
 z[3] V1[4] 1
 z[4] objective 0.75
 z[4] C10[4] -0.5
 z[4] V1[3] 1
 z[4] V1[5] 1
 MARKER1 'MARKER' 'INTEND'
RHS
 RHS C1[0] 0.75
 RHS C1[1] 0.25
 RHS C1[2] 0.5
 RHS C1[3] 0.5
 RHS C1[4] 0.25
 RHS C1[5] 0.25
 RHS V1[0] 1
 RHS V1[1] 1
 RHS V1[2] 1
 RHS V1[3] 1
 RHS V1[4] 1
 RHS V1[5] 1
RANGES
BOUNDS
 UP BOUND l[0] 0.75
 UP BOUND l[1] 0.75
 UP BOUND l[2] 0.5
 UP BOUND l[3] 0.25
 UP BOUND l[4] 0.5
 UP BOUND z[0] 1
 UP BOUND z[1] 1
 UP BOUND z[2] 1
 UP BOUND z[3] 1
 UP BOUND z[4] 1
ENDATA
