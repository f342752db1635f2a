#!/bin/sh
# The New York Stock Exchange opened at 10:00 until Friday 1985-09-27 (that day a storm kept it shut) and opens at 09:30
# since Monday 1985-09-30. exchange_calendars 4.13.2 says 09:30 back to its first day, pandas_market_calendars 5.5.0
# puts the change on 1985-01-01; they differ on every session before 1985 and agree, both wrong, on 187 sessions of
# 1985. They also contradict each other on two closes of 1987 and 1999, and only one knows the noon opening of
# 2002-09-11. So neither comparing the two nor trusting one gives the hours of a minute or hourly bar of those years.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=${PYTHON:-python3}
"$python" -m pip install --quiet --disable-pip-version-check --target "$work/lib" \
    pandas==3.1.1 exchange_calendars==4.13.2 pandas_market_calendars==5.5.0 2>"$work/pip" || { cat "$work/pip" >&2; exit 2; }

cat > "$work/ask.py" <<'PY'
import warnings

warnings.simplefilter("ignore")
import exchange_calendars as xc
import pandas_market_calendars as pmc

END = "2003-01-01"
one = xc.get_calendar("XNYS", start="1984-01-01", end=END).schedule.rename(columns={"open": "o", "close": "c"})
two = pmc.get_calendar("NYSE").schedule("1984-01-01", END).rename(columns={"market_open": "o", "market_close": "c"})


def local(frame, day, what):
    return frame.loc[day, what].tz_convert("America/New_York").strftime("%H:%M")


for day, what in (("1984-06-01", "o"), ("1985-06-03", "o"), ("1987-12-24", "c"), ("1999-12-31", "c"), ("2002-09-11", "o")):
    print(day, "opens" if what == "o" else "closes", "xc", local(one, day, what), "pmc", local(two, day, what))
both = one.index.intersection(two.index)
year = both[(both >= "1985-01-01") & (both < "1985-09-28")]
print("sessions of 1985 before 09-28 on which both open at 09:30:",
      sum(local(one, d, "o") == local(two, d, "o") == "09:30" for d in year), "of", len(year))
PY
said=$(PYTHONPATH="$work/lib" "$python" "$work/ask.py")
echo "$said"
expected="1984-06-01 opens xc 09:30 pmc 10:00
1985-06-03 opens xc 09:30 pmc 09:30
1987-12-24 closes xc 14:00 pmc 16:00
1999-12-31 closes xc 13:00 pmc 16:00
2002-09-11 opens xc 09:30 pmc 12:00
sessions of 1985 before 09-28 on which both open at 09:30: 187 of 187"
[ "$said" = "$expected" ] || { echo "changed; it said so far:"; echo "$expected"; exit 1; }
