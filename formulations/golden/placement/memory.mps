NAME memory
ROWS
 N objective
 G C1[0]
 G C1[1]
 G C1[2]
 G C1[3]
 G C1[4]
 G C1[5]
 G C1[6]
 G C1[7]
 E C2[0]
 E C2[1]
 E C2[2]
 E C2[3]
 L C4[0]
 L C4[1]
 L C4[2]
 L C4[3]
 L C4[4]
 L C4[5]
 L C4[6]
 L C4[7]
 L C5[0]
 L C5[1]
 E D1[0]
 E D1[1]
 E D1[2]
 E D1[3]
 E D1[4]
 E D1[5]
 E D1[6]
 E D1[7]
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
 E D3[8]
 E D3[9]
 E D3[10]
 E D3[11]
 E D3[12]
 E D3[13]
 E D3[14]
 E D3[15]
 L V1[0]
 L V1[1]
 L V1[2]
 L V1[3]
 L V1[4]
 L V1[5]
 L V1[6]
 L V1[7]
 L D5[0]
 L D5[1]
 L D5[2]
 L D5[3]
 G S1[0]
COLUMNS
 MARKER0 'MARKER' 'INTORG'
 n[0,0,0] objective 0
 n[0,0,0] C1[0] 1
 n[0,0,0] C2[0] 1
 n[0,0,0] C4[0] 1
 n[0,0,0] C5[0] 1
 n[0,0,0] D3[0] -1
 n[0,0,0] S1[0] 4
 n[0,0,1] objective 0
 n[0,0,1] C1[0] 1
 n[0,0,1] C2[1] 1
 n[0,0,1] C4[0] 1
 n[0,0,1] C5[1] 1
 n[0,0,1] D3[1] -1
 n[0,0,1] S1[0] -4
 n[0,1,0] objective 0
 n[0,1,0] C1[1] 1
 n[0,1,0] C2[0] 1
 n[0,1,0] C4[1] 1
 n[0,1,0] C5[0] 0.2
 n[0,1,0] D3[2] -1
 n[0,1,0] S1[0] 2
 n[0,1,1] objective 0
 n[0,1,1] C1[1] 1
 n[0,1,1] C2[1] 1
 n[0,1,1] C4[1] 1
 n[0,1,1] C5[1] 0.2
 n[0,1,1] D3[3] -1
 n[0,1,1] S1[0] -2
 n[0,2,0] objective 0
 n[0,2,0] C1[2] 1
 n[0,2,0] C2[0] 1
 n[0,2,0] C4[2] 1
 n[0,2,0] C5[0] 0.2
 n[0,2,0] D3[4] -1
 n[0,2,0] S1[0] 1
 n[0,2,1] objective 0
 n[0,2,1] C1[2] 1
 n[0,2,1] C2[1] 1
 n[0,2,1] C4[2] 1
 n[0,2,1] C5[1] 0.2
 n[0,2,1] D3[5] -1
 n[0,2,1] S1[0] -1
 n[0,3,0] objective 0
 n[0,3,0] C1[3] 1
 n[0,3,0] C2[0] 1
 n[0,3,0] C4[3] 1
 n[0,3,0] C5[0] 1
 n[0,3,0] D3[6] -1
 n[0,3,1] objective 0
 n[0,3,1] C1[3] 1
 n[0,3,1] C2[1] 1
 n[0,3,1] C4[3] 1
 n[0,3,1] C5[1] 1
 n[0,3,1] D3[7] -1
 n[1,0,0] objective 0
 n[1,0,0] C1[4] 1
 n[1,0,0] C2[2] 1
 n[1,0,0] C4[4] 1
 n[1,0,0] C5[0] 1
 n[1,0,0] D3[8] -1
 n[1,0,1] objective 0
 n[1,0,1] C1[4] 1
 n[1,0,1] C2[3] 1
 n[1,0,1] C4[4] 1
 n[1,0,1] C5[1] 1
 n[1,0,1] D3[9] -1
 n[1,1,0] objective 0
 n[1,1,0] C1[5] 1
 n[1,1,0] C2[2] 1
 n[1,1,0] C4[5] 1
 n[1,1,0] C5[0] 0.2
 n[1,1,0] D3[10] -1
 n[1,1,1] objective 0
 n[1,1,1] C1[5] 1
 n[1,1,1] C2[3] 1
 n[1,1,1] C4[5] 1
 n[1,1,1] C5[1] 0.2
 n[1,1,1] D3[11] -1
 n[1,2,0] objective 0
 n[1,2,0] C1[6] 1
 n[1,2,0] C2[2] 1
 n[1,2,0] C4[6] 1
 n[1,2,0] C5[0] 0.2
 n[1,2,0] D3[12] -1
 n[1,2,1] objective 0
 n[1,2,1] C1[6] 1
 n[1,2,1] C2[3] 1
 n[1,2,1] C4[6] 1
 n[1,2,1] C5[1] 0.2
 n[1,2,1] D3[13] -1
 n[1,3,0] objective 0
 n[1,3,0] C1[7] 1
 n[1,3,0] C2[2] 1
 n[1,3,0] C4[7] 1
 n[1,3,0] C5[0] 1
 n[1,3,0] D3[14] -1
 n[1,3,1] objective 0
 n[1,3,1] C1[7] 1
 n[1,3,1] C2[3] 1
 n[1,3,1] C4[7] 1
 n[1,3,1] C5[1] 1
 n[1,3,1] D3[15] -1
 MARKER1 'MARKER' 'INTEND'
 t[0,0] objective 2.5
 t[0,0] V1[0] -1
 t[0,0] V1[1] -1
 t[0,0] V1[2] -1
 t[0,0] V1[3] -1
 t[0,0] D5[0] -1
 t[0,0] D5[1] -1
 t[0,1] objective 2.5
 t[0,1] V1[4] -1
 t[0,1] V1[5] -1
 t[0,1] V1[6] -1
 t[0,1] V1[7] -1
 t[0,1] D5[2] -1
 t[0,1] D5[3] -1
 MARKER2 'MARKER' 'INTORG'
 y[0,0,0] objective 0
 y[0,0,0] D1[0] 1
 y[0,0,0] D2[0] -1
 y[0,0,0] V1[0] 1.6
 y[0,1,0] objective 0
 y[0,1,0] D1[1] 1
 y[0,1,0] D2[1] -1
 y[0,1,0] V1[1] 1.2
 y[0,2,0] objective 0
 y[0,2,0] D1[2] 1
 y[0,2,0] D2[2] -1
 y[0,2,0] V1[2] 0.8
 y[0,3,0] objective 0
 y[0,3,0] D1[3] 1
 y[0,3,0] D2[3] -1
 y[0,3,0] V1[3] 0.4
 y[1,0,0] objective 0
 y[1,0,0] D1[4] 1
 y[1,0,0] D2[4] -1
 y[1,0,0] V1[4] 1.6
 y[1,1,0] objective 0
 y[1,1,0] D1[5] 1
 y[1,1,0] D2[5] -1
 y[1,1,0] V1[5] 1.2
 y[1,2,0] objective 0
 y[1,2,0] D1[6] 1
 y[1,2,0] D2[6] -1
 y[1,2,0] V1[6] 0.8
 y[1,3,0] objective 0
 y[1,3,0] D1[7] 1
 y[1,3,0] D2[7] -1
 y[1,3,0] V1[7] 0.4
 z[0,0,0,0] objective 0
 z[0,0,0,0] D2[0] 1
 z[0,0,0,0] D3[0] 1
 z[0,0,0,0] D5[0] 1.6
 z[0,0,1,0] objective 0
 z[0,0,1,0] D2[0] 1
 z[0,0,1,0] D3[1] 1
 z[0,0,1,0] D5[1] 1.6
 z[0,1,0,0] objective 0
 z[0,1,0,0] D2[1] 1
 z[0,1,0,0] D3[2] 1
 z[0,1,0,0] D5[0] 1.2
 z[0,1,1,0] objective 0
 z[0,1,1,0] D2[1] 1
 z[0,1,1,0] D3[3] 1
 z[0,1,1,0] D5[1] 1.2
 z[0,2,0,0] objective 0
 z[0,2,0,0] D2[2] 1
 z[0,2,0,0] D3[4] 1
 z[0,2,0,0] D5[0] 0.8
 z[0,2,1,0] objective 0
 z[0,2,1,0] D2[2] 1
 z[0,2,1,0] D3[5] 1
 z[0,2,1,0] D5[1] 0.8
 z[0,3,0,0] objective 0
 z[0,3,0,0] D2[3] 1
 z[0,3,0,0] D3[6] 1
 z[0,3,0,0] D5[0] 0.4
 z[0,3,1,0] objective 0
 z[0,3,1,0] D2[3] 1
 z[0,3,1,0] D3[7] 1
 z[0,3,1,0] D5[1] 0.4
 z[1,0,0,0] objective 0
 z[1,0,0,0] D2[4] 1
 z[1,0,0,0] D3[8] 1
 z[1,0,0,0] D5[2] 1.6
 z[1,0,1,0] objective 0
 z[1,0,1,0] D2[4] 1
 z[1,0,1,0] D3[9] 1
 z[1,0,1,0] D5[3] 1.6
 z[1,1,0,0] objective 0
 z[1,1,0,0] D2[5] 1
 z[1,1,0,0] D3[10] 1
 z[1,1,0,0] D5[2] 1.2
 z[1,1,1,0] objective 0
 z[1,1,1,0] D2[5] 1
 z[1,1,1,0] D3[11] 1
 z[1,1,1,0] D5[3] 1.2
 z[1,2,0,0] objective 0
 z[1,2,0,0] D2[6] 1
 z[1,2,0,0] D3[12] 1
 z[1,2,0,0] D5[2] 0.8
 z[1,2,1,0] objective 0
 z[1,2,1,0] D2[6] 1
 z[1,2,1,0] D3[13] 1
 z[1,2,1,0] D5[3] 0.8
 z[1,3,0,0] objective 0
 z[1,3,0,0] D2[7] 1
 z[1,3,0,0] D3[14] 1
 z[1,3,0,0] D5[2] 0.4
 z[1,3,1,0] objective 0
 z[1,3,1,0] D2[7] 1
 z[1,3,1,0] D3[15] 1
 z[1,3,1,0] D5[3] 0.4
 MARKER3 'MARKER' 'INTEND'
RHS
 RHS C1[0] 1
 RHS C1[1] 1
 RHS C1[2] 1
 RHS C1[3] 1
 RHS C1[4] 1
 RHS C1[5] 1
 RHS C1[6] 1
 RHS C1[7] 1
 RHS C2[0] 2
 RHS C2[1] 2
 RHS C2[2] 2
 RHS C2[3] 2
 RHS C4[0] 1
 RHS C4[1] 1
 RHS C4[2] 1
 RHS C4[3] 1
 RHS C4[4] 1
 RHS C4[5] 1
 RHS C4[6] 1
 RHS C4[7] 1
 RHS C5[0] 2.4
 RHS C5[1] 2.4
 RHS D1[0] 1
 RHS D1[1] 1
 RHS D1[2] 1
 RHS D1[3] 1
 RHS D1[4] 1
 RHS D1[5] 1
 RHS D1[6] 1
 RHS D1[7] 1
RANGES
BOUNDS
 UP BOUND n[0,0,0] 1
 UP BOUND n[0,0,1] 1
 UP BOUND n[0,1,0] 1
 UP BOUND n[0,1,1] 1
 UP BOUND n[0,2,0] 1
 UP BOUND n[0,2,1] 1
 UP BOUND n[0,3,0] 1
 UP BOUND n[0,3,1] 1
 UP BOUND n[1,0,0] 1
 UP BOUND n[1,0,1] 1
 UP BOUND n[1,1,0] 1
 UP BOUND n[1,1,1] 1
 UP BOUND n[1,2,0] 1
 UP BOUND n[1,2,1] 1
 UP BOUND n[1,3,0] 1
 UP BOUND n[1,3,1] 1
 UP BOUND y[0,0,0] 1
 UP BOUND y[0,1,0] 1
 UP BOUND y[0,2,0] 1
 UP BOUND y[0,3,0] 1
 UP BOUND y[1,0,0] 1
 UP BOUND y[1,1,0] 1
 UP BOUND y[1,2,0] 1
 UP BOUND y[1,3,0] 1
 UP BOUND z[0,0,0,0] 1
 UP BOUND z[0,0,1,0] 1
 UP BOUND z[0,1,0,0] 1
 UP BOUND z[0,1,1,0] 1
 UP BOUND z[0,2,0,0] 1
 UP BOUND z[0,2,1,0] 1
 UP BOUND z[0,3,0,0] 1
 UP BOUND z[0,3,1,0] 1
 UP BOUND z[1,0,0,0] 1
 UP BOUND z[1,0,1,0] 1
 UP BOUND z[1,1,0,0] 1
 UP BOUND z[1,1,1,0] 1
 UP BOUND z[1,2,0,0] 1
 UP BOUND z[1,2,1,0] 1
 UP BOUND z[1,3,0,0] 1
 UP BOUND z[1,3,1,0] 1
ENDATA
