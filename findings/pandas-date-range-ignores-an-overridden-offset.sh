#!/bin/sh
# pandas 3.1.1: date_range does not ask a subclass of CustomBusinessDay which days are its own. It filters days by the
# weekmask the offset was made with, so a day for which `is_on_offset` says True is missing, without a warning. pandas
# 2.3.3 went from day to day by the subclass. This is how exchange_calendars 4.13.2 loses every session of a changed
# week: Bombay's Saturdays, Tel Aviv's Sundays. The override is still asked by everything else (`day + offset` too).
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=${PYTHON:-python3}

cat > "$work/ask.py" <<'PY'
import pandas as pd
from pandas.tseries.offsets import CustomBusinessDay

SATURDAY = pd.Timestamp("2024-01-20")


class AndOneSaturday(CustomBusinessDay):
    def is_on_offset(self, day):
        return day == SATURDAY or super().is_on_offset(day)

    def step(self, day):
        day += pd.Timedelta(days=1)
        while not self.is_on_offset(day):
            day += pd.Timedelta(days=1)
        return day

    _apply = _add_datetime = step


offset = AndOneSaturday()
days = pd.date_range("2024-01-18", "2024-01-23", freq=offset)
added = pd.Timestamp("2024-01-19") + offset
print(pd.__version__, "on offset:", offset.is_on_offset(SATURDAY), "Friday + offset:", f"{added:%a}",
      "in date_range:", SATURDAY in days)
PY

said=""
for version in 2.3.3 3.1.1; do
    "$python" -m pip install --quiet --disable-pip-version-check --target "$work/$version" "pandas==$version" 2>"$work/pip" ||
        { cat "$work/pip" >&2; exit 2; }
    said="$said$(PYTHONPATH="$work/$version" "$python" "$work/ask.py")
"
done
printf '%s' "$said"

expected="2.3.3 on offset: True Friday + offset: Sat in date_range: True
3.1.1 on offset: True Friday + offset: Sat in date_range: False
"
[ "$said" = "$expected" ] || { echo "changed; it said so far:"; printf '%s' "$expected"; exit 1; }
