NAME max-load-plain-layer0
ROWS
 N objective
 G C1[0]
 G C1[1]
 G C1[2]
 E C2[0]
 E C2[1]
 L C3[0]
 L C3[1]
 L C3[2]
 L C3[3]
 L C3[4]
 L C3[5]
 E D1[0]
 E D1[1]
 E D1[2]
 E D2[0]
 E D2[1]
 E D2[2]
 E D2[3]
 E D2[4]
 E D2[5]
 E D2[6]
 E D2[7]
 E D2[8]
 E D2[9]
 E D2[10]
 E D2[11]
 E D3[0]
 E D3[1]
 E D3[2]
 E D3[3]
 E D3[4]
 E D3[5]
 L D5[0]
 L D5[1]
COLUMNS
 MARKER0 'MARKER' 'INTORG'
 n[0,0,0] objective 0
 n[0,0,0] C1[0] 1
 n[0,0,0] C2[0] 1
 n[0,0,0] C3[0] 1
 n[0,0,0] D3[0] -1
 n[0,0,1] objective 0
 n[0,0,1] C1[0] 1
 n[0,0,1] C2[1] 1
 n[0,0,1] C3[1] 1
 n[0,0,1] D3[1] -1
 n[0,1,0] objective 0
 n[0,1,0] C1[1] 1
 n[0,1,0] C2[0] 1
 n[0,1,0] C3[2] 1
 n[0,1,0] D3[2] -1
 n[0,1,1] objective 0
 n[0,1,1] C1[1] 1
 n[0,1,1] C2[1] 1
 n[0,1,1] C3[3] 1
 n[0,1,1] D3[3] -1
 n[0,2,0] objective 0
 n[0,2,0] C1[2] 1
 n[0,2,0] C2[0] 1
 n[0,2,0] C3[4] 1
 n[0,2,0] D3[4] -1
 n[0,2,1] objective 0
 n[0,2,1] C1[2] 1
 n[0,2,1] C2[1] 1
 n[0,2,1] C3[5] 1
 n[0,2,1] D3[5] -1
 MARKER1 'MARKER' 'INTEND'
 t[0,0] objective 4
 t[0,0] D5[0] -1
 t[0,0] D5[1] -1
 MARKER2 'MARKER' 'INTORG'
 y[0,0,0] objective 0
 y[0,0,0] D1[0] 1
 y[0,0,1] objective 0
 y[0,0,1] D1[0] 1
 y[0,0,1] D2[0] -1
 y[0,0,2] objective 0
 y[0,0,2] D1[0] 1
 y[0,0,2] D2[1] -2
 y[0,0,3] objective 0
 y[0,0,3] D1[0] 1
 y[0,0,3] D2[2] -3
 y[0,0,4] objective 0
 y[0,0,4] D1[0] 1
 y[0,0,4] D2[3] -4
 y[0,1,0] objective 0
 y[0,1,0] D1[1] 1
 y[0,1,1] objective 0
 y[0,1,1] D1[1] 1
 y[0,1,1] D2[4] -1
 y[0,1,2] objective 0
 y[0,1,2] D1[1] 1
 y[0,1,2] D2[5] -2
 y[0,1,3] objective 0
 y[0,1,3] D1[1] 1
 y[0,1,3] D2[6] -3
 y[0,1,4] objective 0
 y[0,1,4] D1[1] 1
 y[0,1,4] D2[7] -4
 y[0,2,0] objective 0
 y[0,2,0] D1[2] 1
 y[0,2,1] objective 0
 y[0,2,1] D1[2] 1
 y[0,2,1] D2[8] -1
 y[0,2,2] objective 0
 y[0,2,2] D1[2] 1
 y[0,2,2] D2[9] -2
 y[0,2,3] objective 0
 y[0,2,3] D1[2] 1
 y[0,2,3] D2[10] -3
 y[0,2,4] objective 0
 y[0,2,4] D1[2] 1
 y[0,2,4] D2[11] -4
 z[0,0,0,0] objective 0
 z[0,0,0,0] D2[0] 1
 z[0,0,0,0] D3[0] 1
 z[0,0,0,0] D5[0] 2
 z[0,0,0,1] objective 0
 z[0,0,0,1] D2[1] 1
 z[0,0,0,1] D3[0] 1
 z[0,0,0,1] D5[0] 1
 z[0,0,0,2] objective 0
 z[0,0,0,2] D2[2] 1
 z[0,0,0,2] D3[0] 1
 z[0,0,0,2] D5[0] 0.6666666666666666
 z[0,0,0,3] objective 0
 z[0,0,0,3] D2[3] 1
 z[0,0,0,3] D3[0] 1
 z[0,0,0,3] D5[0] 0.5
 z[0,0,1,0] objective 0
 z[0,0,1,0] D2[0] 1
 z[0,0,1,0] D3[1] 1
 z[0,0,1,0] D5[1] 2
 z[0,0,1,1] objective 0
 z[0,0,1,1] D2[1] 1
 z[0,0,1,1] D3[1] 1
 z[0,0,1,1] D5[1] 1
 z[0,0,1,2] objective 0
 z[0,0,1,2] D2[2] 1
 z[0,0,1,2] D3[1] 1
 z[0,0,1,2] D5[1] 0.6666666666666666
 z[0,0,1,3] objective 0
 z[0,0,1,3] D2[3] 1
 z[0,0,1,3] D3[1] 1
 z[0,0,1,3] D5[1] 0.5
 z[0,1,0,0] objective 0
 z[0,1,0,0] D2[4] 1
 z[0,1,0,0] D3[2] 1
 z[0,1,0,0] D5[0] 0.75
 z[0,1,0,1] objective 0
 z[0,1,0,1] D2[5] 1
 z[0,1,0,1] D3[2] 1
 z[0,1,0,1] D5[0] 0.375
 z[0,1,0,2] objective 0
 z[0,1,0,2] D2[6] 1
 z[0,1,0,2] D3[2] 1
 z[0,1,0,2] D5[0] 0.25
 z[0,1,0,3] objective 0
 z[0,1,0,3] D2[7] 1
 z[0,1,0,3] D3[2] 1
 z[0,1,0,3] D5[0] 0.1875
 z[0,1,1,0] objective 0
 z[0,1,1,0] D2[4] 1
 z[0,1,1,0] D3[3] 1
 z[0,1,1,0] D5[1] 0.75
 z[0,1,1,1] objective 0
 z[0,1,1,1] D2[5] 1
 z[0,1,1,1] D3[3] 1
 z[0,1,1,1] D5[1] 0.375
 z[0,1,1,2] objective 0
 z[0,1,1,2] D2[6] 1
 z[0,1,1,2] D3[3] 1
 z[0,1,1,2] D5[1] 0.25
 z[0,1,1,3] objective 0
 z[0,1,1,3] D2[7] 1
 z[0,1,1,3] D3[3] 1
 z[0,1,1,3] D5[1] 0.1875
 z[0,2,0,0] objective 0
 z[0,2,0,0] D2[8] 1
 z[0,2,0,0] D3[4] 1
 z[0,2,0,0] D5[0] 0.25
 z[0,2,0,1] objective 0
 z[0,2,0,1] D2[9] 1
 z[0,2,0,1] D3[4] 1
 z[0,2,0,1] D5[0] 0.125
 z[0,2,0,2] objective 0
 z[0,2,0,2] D2[10] 1
 z[0,2,0,2] D3[4] 1
 z[0,2,0,2] D5[0] 0.08333333333333333
 z[0,2,0,3] objective 0
 z[0,2,0,3] D2[11] 1
 z[0,2,0,3] D3[4] 1
 z[0,2,0,3] D5[0] 0.0625
 z[0,2,1,0] objective 0
 z[0,2,1,0] D2[8] 1
 z[0,2,1,0] D3[5] 1
 z[0,2,1,0] D5[1] 0.25
 z[0,2,1,1] objective 0
 z[0,2,1,1] D2[9] 1
 z[0,2,1,1] D3[5] 1
 z[0,2,1,1] D5[1] 0.125
 z[0,2,1,2] objective 0
 z[0,2,1,2] D2[10] 1
 z[0,2,1,2] D3[5] 1
 z[0,2,1,2] D5[1] 0.08333333333333333
 z[0,2,1,3] objective 0
 z[0,2,1,3] D2[11] 1
 z[0,2,1,3] D3[5] 1
 z[0,2,1,3] D5[1] 0.0625
 MARKER3 'MARKER' 'INTEND'
RHS
 RHS C1[0] 1
 RHS C1[1] 1
 RHS C1[2] 1
 RHS C2[0] 2
 RHS C2[1] 2
 RHS C3[0] 1
 RHS C3[1] 1
 RHS C3[2] 1
 RHS C3[3] 1
 RHS C3[4] 1
 RHS C3[5] 1
 RHS D1[0] 1
 RHS D1[1] 1
 RHS D1[2] 1
RANGES
BOUNDS
 UP BOUND n[0,0,0] 2
 UP BOUND n[0,0,1] 2
 UP BOUND n[0,1,0] 2
 UP BOUND n[0,1,1] 2
 UP BOUND n[0,2,0] 2
 UP BOUND n[0,2,1] 2
 UP BOUND y[0,0,0] 1
 UP BOUND y[0,0,1] 1
 UP BOUND y[0,0,2] 1
 UP BOUND y[0,0,3] 1
 UP BOUND y[0,0,4] 1
 UP BOUND y[0,1,0] 1
 UP BOUND y[0,1,1] 1
 UP BOUND y[0,1,2] 1
 UP BOUND y[0,1,3] 1
 UP BOUND y[0,1,4] 1
 UP BOUND y[0,2,0] 1
 UP BOUND y[0,2,1] 1
 UP BOUND y[0,2,2] 1
 UP BOUND y[0,2,3] 1
 UP BOUND y[0,2,4] 1
 UP BOUND z[0,0,0,0] 1
 UP BOUND z[0,0,0,1] 2
 UP BOUND z[0,0,0,2] 2
 UP BOUND z[0,0,0,3] 2
 UP BOUND z[0,0,1,0] 1
 UP BOUND z[0,0,1,1] 2
 UP BOUND z[0,0,1,2] 2
 UP BOUND z[0,0,1,3] 2
 UP BOUND z[0,1,0,0] 1
 UP BOUND z[0,1,0,1] 2
 UP BOUND z[0,1,0,2] 2
 UP BOUND z[0,1,0,3] 2
 UP BOUND z[0,1,1,0] 1
 UP BOUND z[0,1,1,1] 2
 UP BOUND z[0,1,1,2] 2
 UP BOUND z[0,1,1,3] 2
 UP BOUND z[0,2,0,0] 1
 UP BOUND z[0,2,0,1] 2
 UP BOUND z[0,2,0,2] 2
 UP BOUND z[0,2,0,3] 2
 UP BOUND z[0,2,1,0] 1
 UP BOUND z[0,2,1,1] 2
 UP BOUND z[0,2,1,2] 2
 UP BOUND z[0,2,1,3] 2
ENDATA
