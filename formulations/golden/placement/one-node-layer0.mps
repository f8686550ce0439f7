NAME one-node-layer0
ROWS
 N objective
 G C1[0]
 G C1[1]
 G C1[2]
 G C1[3]
 L C2[0]
 L C2[1]
 E D10[0]
 E D10[1]
 L C10[0]
 L C10[1]
 L C10[2]
 L C10[3]
 L C10[4]
 L C10[5]
 L C10[6]
 L C10[7]
 E D1[0]
 E D1[1]
 E D1[2]
 E D1[3]
 E D2[0]
 E D2[1]
 E D2[2]
 E D2[3]
 E D2[4]
 E D2[5]
 E D2[6]
 E D2[7]
 E D3[0]
 E D3[1]
 E D3[2]
 E D3[3]
 E D3[4]
 E D3[5]
 E D3[6]
 E D3[7]
 L V1[0]
 L V1[1]
 L V1[2]
 L V1[3]
 L D5[0]
 L D5[1]
 L V2[0]
 L V2[1]
 L V2[2]
 L V2[3]
COLUMNS
 MARKER0 'MARKER' 'INTORG'
 n[0,0,0] objective 0
 n[0,0,0] C1[0] 1
 n[0,0,0] C2[0] 1
 n[0,0,0] C10[0] 1
 n[0,0,0] D3[0] -1
 n[0,0,0] V2[0] 1
 n[0,0,1] objective 0
 n[0,0,1] C1[0] 1
 n[0,0,1] C2[1] 1
 n[0,0,1] C10[1] 1
 n[0,0,1] D3[1] -1
 n[0,0,1] V2[2] 1
 n[0,1,0] objective 0
 n[0,1,0] C1[1] 1
 n[0,1,0] C2[0] 1
 n[0,1,0] C10[2] 1
 n[0,1,0] D3[2] -1
 n[0,1,0] V2[0] 1
 n[0,1,1] objective 0
 n[0,1,1] C1[1] 1
 n[0,1,1] C2[1] 1
 n[0,1,1] C10[3] 1
 n[0,1,1] D3[3] -1
 n[0,1,1] V2[2] 1
 n[0,2,0] objective 0
 n[0,2,0] C1[2] 1
 n[0,2,0] C2[0] 1
 n[0,2,0] C10[4] 1
 n[0,2,0] D3[4] -1
 n[0,2,0] V2[1] 1
 n[0,2,1] objective 0
 n[0,2,1] C1[2] 1
 n[0,2,1] C2[1] 1
 n[0,2,1] C10[5] 1
 n[0,2,1] D3[5] -1
 n[0,2,1] V2[3] 1
 n[0,3,0] objective 0
 n[0,3,0] C1[3] 1
 n[0,3,0] C2[0] 1
 n[0,3,0] C10[6] 1
 n[0,3,0] D3[6] -1
 n[0,3,0] V2[1] 1
 n[0,3,1] objective 0
 n[0,3,1] C1[3] 1
 n[0,3,1] C2[1] 1
 n[0,3,1] C10[7] 1
 n[0,3,1] D3[7] -1
 n[0,3,1] V2[3] 1
 h[0,0,0] objective 0
 h[0,0,0] D10[0] 1
 h[0,0,0] C10[0] -1
 h[0,0,0] C10[2] -1
 h[0,0,0] V2[0] -3
 h[0,0,1] objective 0
 h[0,0,1] D10[0] 1
 h[0,0,1] C10[1] -1
 h[0,0,1] C10[3] -1
 h[0,0,1] V2[2] -3
 h[0,1,0] objective 0
 h[0,1,0] D10[1] 1
 h[0,1,0] C10[4] -1
 h[0,1,0] C10[6] -1
 h[0,1,0] V2[1] -3
 h[0,1,1] objective 0
 h[0,1,1] D10[1] 1
 h[0,1,1] C10[5] -1
 h[0,1,1] C10[7] -1
 h[0,1,1] V2[3] -3
 MARKER1 'MARKER' 'INTEND'
 t[0,0] objective 2.5
 t[0,0] V1[0] -1
 t[0,0] V1[1] -1
 t[0,0] V1[2] -1
 t[0,0] V1[3] -1
 t[0,0] D5[0] -1
 t[0,0] D5[1] -1
 MARKER2 'MARKER' 'INTORG'
 y[0,0,0] objective 0
 y[0,0,0] D1[0] 1
 y[0,0,0] D2[0] -1
 y[0,0,0] V1[0] 1.6
 y[0,0,1] objective 0
 y[0,0,1] D1[0] 1
 y[0,0,1] D2[1] -2
 y[0,0,1] V1[0] 0.8
 y[0,1,0] objective 0
 y[0,1,0] D1[1] 1
 y[0,1,0] D2[2] -1
 y[0,1,0] V1[1] 1.2
 y[0,1,1] objective 0
 y[0,1,1] D1[1] 1
 y[0,1,1] D2[3] -2
 y[0,1,1] V1[1] 0.6
 y[0,2,0] objective 0
 y[0,2,0] D1[2] 1
 y[0,2,0] D2[4] -1
 y[0,2,0] V1[2] 0.8
 y[0,2,1] objective 0
 y[0,2,1] D1[2] 1
 y[0,2,1] D2[5] -2
 y[0,2,1] V1[2] 0.4
 y[0,3,0] objective 0
 y[0,3,0] D1[3] 1
 y[0,3,0] D2[6] -1
 y[0,3,0] V1[3] 0.4
 y[0,3,1] objective 0
 y[0,3,1] D1[3] 1
 y[0,3,1] D2[7] -2
 y[0,3,1] V1[3] 0.2
 z[0,0,0,0] objective 0
 z[0,0,0,0] D2[0] 1
 z[0,0,0,0] D3[0] 1
 z[0,0,0,0] D5[0] 1.6
 z[0,0,0,1] objective 0
 z[0,0,0,1] D2[1] 1
 z[0,0,0,1] D3[0] 1
 z[0,0,0,1] D5[0] 0.8
 z[0,0,1,0] objective 0
 z[0,0,1,0] D2[0] 1
 z[0,0,1,0] D3[1] 1
 z[0,0,1,0] D5[1] 1.6
 z[0,0,1,1] objective 0
 z[0,0,1,1] D2[1] 1
 z[0,0,1,1] D3[1] 1
 z[0,0,1,1] D5[1] 0.8
 z[0,1,0,0] objective 0
 z[0,1,0,0] D2[2] 1
 z[0,1,0,0] D3[2] 1
 z[0,1,0,0] D5[0] 1.2
 z[0,1,0,1] objective 0
 z[0,1,0,1] D2[3] 1
 z[0,1,0,1] D3[2] 1
 z[0,1,0,1] D5[0] 0.6
 z[0,1,1,0] objective 0
 z[0,1,1,0] D2[2] 1
 z[0,1,1,0] D3[3] 1
 z[0,1,1,0] D5[1] 1.2
 z[0,1,1,1] objective 0
 z[0,1,1,1] D2[3] 1
 z[0,1,1,1] D3[3] 1
 z[0,1,1,1] D5[1] 0.6
 z[0,2,0,0] objective 0
 z[0,2,0,0] D2[4] 1
 z[0,2,0,0] D3[4] 1
 z[0,2,0,0] D5[0] 0.8
 z[0,2,0,1] objective 0
 z[0,2,0,1] D2[5] 1
 z[0,2,0,1] D3[4] 1
 z[0,2,0,1] D5[0] 0.4
 z[0,2,1,0] objective 0
 z[0,2,1,0] D2[4] 1
 z[0,2,1,0] D3[5] 1
 z[0,2,1,0] D5[1] 0.8
 z[0,2,1,1] objective 0
 z[0,2,1,1] D2[5] 1
 z[0,2,1,1] D3[5] 1
 z[0,2,1,1] D5[1] 0.4
 z[0,3,0,0] objective 0
 z[0,3,0,0] D2[6] 1
 z[0,3,0,0] D3[6] 1
 z[0,3,0,0] D5[0] 0.4
 z[0,3,0,1] objective 0
 z[0,3,0,1] D2[7] 1
 z[0,3,0,1] D3[6] 1
 z[0,3,0,1] D5[0] 0.2
 z[0,3,1,0] objective 0
 z[0,3,1,0] D2[6] 1
 z[0,3,1,0] D3[7] 1
 z[0,3,1,0] D5[1] 0.4
 z[0,3,1,1] objective 0
 z[0,3,1,1] D2[7] 1
 z[0,3,1,1] D3[7] 1
 z[0,3,1,1] D5[1] 0.2
 MARKER3 'MARKER' 'INTEND'
RHS
 RHS C1[0] 1
 RHS C1[1] 1
 RHS C1[2] 1
 RHS C1[3] 1
 RHS C2[0] 3
 RHS C2[1] 3
 RHS D10[0] 1
 RHS D10[1] 1
 RHS D1[0] 1
 RHS D1[1] 1
 RHS D1[2] 1
 RHS D1[3] 1
RANGES
 RANGE C2[0] 3
 RANGE C2[1] 3
BOUNDS
 UP BOUND n[0,0,0] 1
 UP BOUND n[0,0,1] 1
 UP BOUND n[0,1,0] 1
 UP BOUND n[0,1,1] 1
 UP BOUND n[0,2,0] 1
 UP BOUND n[0,2,1] 1
 UP BOUND n[0,3,0] 1
 UP BOUND n[0,3,1] 1
 UP BOUND h[0,0,0] 1
 UP BOUND h[0,0,1] 1
 UP BOUND h[0,1,0] 1
 UP BOUND h[0,1,1] 1
 UP BOUND y[0,0,0] 1
 UP BOUND y[0,0,1] 1
 UP BOUND y[0,1,0] 1
 UP BOUND y[0,1,1] 1
 UP BOUND y[0,2,0] 1
 UP BOUND y[0,2,1] 1
 UP BOUND y[0,3,0] 1
 UP BOUND y[0,3,1] 1
 UP BOUND z[0,0,0,0] 1
 UP BOUND z[0,0,0,1] 1
 UP BOUND z[0,0,1,0] 1
 UP BOUND z[0,0,1,1] 1
 UP BOUND z[0,1,0,0] 1
 UP BOUND z[0,1,0,1] 1
 UP BOUND z[0,1,1,0] 1
 UP BOUND z[0,1,1,1] 1
 UP BOUND z[0,2,0,0] 1
 UP BOUND z[0,2,0,1] 1
 UP BOUND z[0,2,1,0] 1
 UP BOUND z[0,2,1,1] 1
 UP BOUND z[0,3,0,0] 1
 UP BOUND z[0,3,0,1] 1
 UP BOUND z[0,3,1,0] 1
 UP BOUND z[0,3,1,1] 1
ENDATA
