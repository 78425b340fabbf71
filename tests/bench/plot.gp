# SPDX-License-Identifier: MIT
# Draws what figures.py wrote into `dir` to the file `out`; see plot.sh.
load dir."/words.gp"	# run: what was measured where; load_colours, stream_colours: of their lines
set terminal svg size 1000,1180 dynamic enhanced font "Helvetica,Arial,sans-serif,14" background rgb "white"
set output out
set encoding utf8

# Colours that people tell apart who see few.
set linetype 1 lc rgb "#555555" lw 2 pt 7 ps 0.9	# the floor, a plain process
set linetype 2 lc rgb "#D55E00" lw 2 pt 7 ps 0.9	# one CLI for each call
set linetype 3 lc rgb "#0072B2" lw 2 pt 7 ps 0.9	# a channel
set linetype 4 lc rgb "#009E73" lw 2 pt 7 ps 0.9	# a pool
set linetype 5 lc rgb "#CC79A7" lw 2 pt 7 ps 0.9	# a pool's socket
set linetype 6 lc rgb "#E69F00" lw 2 pt 7 ps 0.9	# a process through hookbox
colour(kind) = kind + 1

set border 3 lc rgb "#888888"
set tics nomirror out scale 0.5 textcolor rgb "#222222"
set grid xtics lc rgb "#E4E4E4" lw 1 dt 1
set multiplot
set label 1 "{/:Bold=19 What a call costs}" at screen 0.02,0.975 left
set label 2 "{/=13 ".run."}" at screen 0.02,0.953 left textcolor rgb "#666666"

# ---- Each way, as a multiple of F ----

ways = dir."/ways.dat"
stats ways using 1 nooutput name "ROWS_"
stats ways using 3 nooutput name "P99_"
set lmargin at screen 0.235
set rmargin at screen 0.955
set tmargin at screen 0.870
set bmargin at screen 0.430
set label 3 "{/:Bold One call, 1 KB in and 1 KB out, as a multiple of the floor F: median (dot) and 99th percentile (end of its line)}" \
	at screen 0.02,0.917 left
set logscale x
set xrange [0.8:P99_max * 1.2]
set yrange [-0.7:ROWS_max + 0.7]
set format x "%g F"
set ytics noenhanced
set key noenhanced at screen 0.955,0.887 right center vertical maxrows 1 Left reverse samplen 1 width -6
plot \
	ways using 2:1:2:3:1:1:(colour($5)):ytic(6) with xyerrorbars lc variable pt -1 lw 1.6 notitle, \
	ways using 2:1:(colour($5)) with points lc variable pt 7 ps 1.1 notitle, \
	ways using 4:1:(0):(0.36) with vectors nohead lc rgb "black" lw 2.5 notitle, \
	ways using 4:1:(0):(-0.36) with vectors nohead lc rgb "black" lw 2.5 notitle, \
	1/0 with points lt 2 pt 7 ps 1.1 title "a CLI for each call", \
	1/0 with points lt 3 pt 7 ps 1.1 title "a channel", \
	1/0 with points lt 4 pt 7 ps 1.1 title "a pool", \
	1/0 with points lt 5 pt 7 ps 1.1 title "a pool's socket", \
	1/0 with lines lc rgb "black" lw 2.5 title "bar of the median"
unset label

# ---- Two of lines ----

set tmargin at screen 0.345
set bmargin at screen 0.065
set grid ytics lc rgb "#E4E4E4" lw 1 dt 1
set yrange [*:*]
set logscale y
set format y "%h"
set ytics autofreq
set key at graph 0.02,0.04 left bottom vertical Left reverse samplen 1.5 width 0 maxrows 6
set lmargin at screen 0.075
set rmargin at screen 0.475
set title "{/:Bold Calls a second, by calls in flight}"
set logscale x 2
set xrange [0.9:280]
set format x "%g"
set xtics (1, 4, 16, 64, 256)
set yrange [10:20000]
plot for [i = 0:words(load_colours) - 1] dir."/load.dat" index i using 1:2 with linespoints \
	lt int(word(load_colours, i + 1)) title columnheader(1)

set lmargin at screen 0.565
set rmargin at screen 0.955
set title "{/:Bold MB a second in and out at once, by size}"
set key at graph 0.98,0.04 right bottom
set xrange [700:1e8]
set xtics ("1 KB" 1024, "64 KB" 65536, "1 MB" 1048576, "8 MB" 8388608, "64 MB" 67108864)
set yrange [0.005:5000]
plot for [i = 0:words(stream_colours) - 1] dir."/stream.dat" index i using 1:2 with linespoints \
	lt int(word(stream_colours, i + 1)) title columnheader(1)
