NAME any-order
ROWS
 N objective
 L C2[0]
 L C2[1]
 L C2[2]
 L C2[3]
 L C2[4]
 L C2[5]
 L C2[6]
 L C2[7]
 L C2[8]
 L C2[9]
 L C2[10]
 L C2[11]
 G D3[0]
 G D3[1]
 G D3[2]
 G D4[0]
 G D4[1]
 G D4[2]
 G D4[3]
COLUMNS
 MARKER0 'MARKER' 'INTORG'
 x0[0] objective -1
 x0[0] C2[0] 1
 x0[0] C2[5] -1
 x0[0] D3[0] -1
 x0[1] objective -1
 x0[1] C2[0] 1
 x0[1] C2[6] -1
 x0[1] D3[1] -1
 x0[2] objective -1
 x0[2] C2[0] 1
 x0[2] C2[7] -1
 x0[2] D3[2] -1
 x0[3] objective -1
 x0[3] C2[1] 1
 x0[3] C2[10] -1
 x0[3] D3[0] -1
 x0[3] D4[2] -1
 x0[4] objective -1
 x0[4] C2[1] 1
 x0[4] C2[11] -1
 x0[4] D3[1] -1
 x0[4] D4[2] -1
 x0[5] objective -1
 x0[5] C2[1] 1
 x0[5] C2[8] -1
 x0[5] D3[2] -1
 b0[0] objective 0
 b0[0] D3[0] 1
 b0[0] D4[1] -1
 b0[1] objective 0
 b0[1] D3[1] 1
 b0[1] D4[1] -1
 b0[2] objective 0
 b0[2] D3[2] 1
 b0[2] D4[1] -1
 v0[0] objective 0
 v0[0] C2[2] 1
 v0[0] C2[3] 1
 v0[0] C2[4] 1
 v0[0] D4[0] 1
 v0[1] objective 0
 v0[1] C2[5] 1
 v0[1] C2[6] 1
 v0[1] C2[7] 1
 v0[1] D4[1] 1
 v0[2] objective 0
 v0[2] C2[8] 1
 v0[2] C2[9] 1
 v0[2] D4[2] 1
 v0[3] objective 0
 v0[3] C2[10] 1
 v0[3] C2[11] 1
 v0[3] D4[3] 1
 MARKER1 'MARKER' 'INTEND'
RHS
 RHS objective -10
 RHS C2[0] 2
 RHS C2[1] 2
 RHS C2[2] 1
 RHS C2[3] 1
 RHS C2[4] 1
 RHS C2[5] 1
 RHS C2[6] 1
 RHS C2[7] 1
 RHS C2[8] 1
 RHS C2[9] 1
 RHS C2[10] 1
 RHS C2[11] 1
 RHS D3[0] -1
 RHS D3[1] -1
 RHS D3[2] -1
RANGES
BOUNDS
 UP BOUND x0[0] 1
 UP BOUND x0[1] 1
 UP BOUND x0[2] 1
 UP BOUND x0[3] 1
 UP BOUND x0[4] 1
 UP BOUND x0[5] 1
 UP BOUND b0[0] 1
 UP BOUND b0[1] 1
 UP BOUND b0[2] 1
 UP BOUND v0[0] 2
 UP BOUND v0[1] 2
 UP BOUND v0[2] 2
 UP BOUND v0[3] 2
ENDATA
