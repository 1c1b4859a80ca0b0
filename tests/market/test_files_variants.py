"""Further ways in which the same files come: marks, blanks, headers again, zones by letters."""

import numpy as np
import pandas as pd
import pytest

from convnext_vbt.market.bars import FIELDS
from convnext_vbt.market.files import read_file
from tests.market.test_files_dialects import BARS, HOURS, assert_holds, text_file, told

BIG = BARS.assign(**{field: BARS[field] * 100 for field in FIELDS}).round(2)
ISO = BARS.index.strftime("%Y-%m-%d %H:%M:%SZ")
PLAIN = BARS.set_axis(ISO, axis=0)
LINES = PLAIN.to_csv(index_label="Date").splitlines()


def lines_to_text(lines):
    return "\n".join(lines) + "\n"


def grouped(blank, point):
    """Numbers as text, with a blank between thousands."""
    text = BIG.map(lambda value: f"{value:,.2f}".replace(",", "_").replace(".", point))
    return text.map(lambda cell: cell.replace("_", blank)).set_axis(ISO, axis=0)


@pytest.mark.parametrize(
    ("blank", "point"), [(" ", ","), ("\u00a0", ","), ("\u202f", ","), ("'", "."), ("’", ".")]
)
def test_blanks_and_apostrophes_between_thousands(tmp_path, blank, point):
    path = text_file(tmp_path, grouped(blank, point).to_csv(index_label="Date", sep=";"))
    assert_holds(read_file(path), BIG, "blanks or apostrophes between thousands")


def test_a_blank_that_some_rows_lack_is_refused(tmp_path):
    table = grouped(" ", ".")
    table.loc[ISO[3], "open"] = table.loc[ISO[3], "open"].replace(" ", "")
    path = text_file(tmp_path, table.to_csv(index_label="Date"))
    with pytest.raises(ValueError, match=r"line 5, open: .* has no blank between thousands"):
        read_file(path)


@pytest.mark.parametrize(
    "names",
    [
        "Datum,Eröffnung,Hoch,Tief,Schluss,Volumen",
        "Datum,Erster,Hoch,Tief,Schlusskurs,Stücke",
        "Date,Ouv.,Plus Haut,Plus Bas,Clôture,Vol.",
        "Fecha,Apertura,Máximo,Mínimo,Cierre,Volumen",
        "Data,Apertura,Massimo,Minimo,Chiusura,Vol.",
        "Data,Abertura,Máxima,Mínima,Fechamento,Volume",
        "MTS,open,high,low,close,volume",
    ],
)
def test_names_in_the_languages_of_vendors(tmp_path, names):
    assert_holds(read_file(text_file(tmp_path, lines_to_text([names, *LINES[1:]]))), BARS)


@pytest.mark.parametrize("sign", ["${}", "€ {}", "{}€", "{} £"])
def test_a_stray_currency_sign_is_counted(tmp_path, sign):
    table = PLAIN.astype(object)
    table.iloc[3, 0] = sign.format(table.iloc[3, 0])
    path = text_file(tmp_path, table.to_csv(index_label="Date"))
    assert_holds(read_file(path), BARS, "1 currency sign(s) beside numbers left out")
    with pytest.raises(ValueError, match=r"strict reading changes nothing, .* 1 currency sign"):
        read_file(path, strict=True)


def test_a_header_that_comes_again_is_left_out(tmp_path):
    lines = [*LINES[:100], LINES[0], *LINES[98:200], LINES[0], *LINES[200:]]
    path = text_file(tmp_path, lines_to_text(lines))
    assert_holds(
        read_file(path),
        BARS,
        "2 header line(s) between the rows skipped (line 101, 204)",
        "2 exact duplicate row(s) dropped (line 102, 103)",
    )
    with pytest.raises(ValueError, match=r"strict .* 2 header line\(s\) between"):
        read_file(path, strict=True)
    lines[150] = "oops" + lines[150]
    with pytest.raises(ValueError, match="row at line 151, Date: 'oops2022"):
        read_file(text_file(tmp_path, lines_to_text(lines)))


@pytest.mark.parametrize(
    ("head", "rows", "ignored"), [(",", "", ""), ("", ",", "1 column(s) ignored: (no name)")]
)
def test_a_delimiter_at_the_end_of_header_or_rows_alone(tmp_path, head, rows, ignored):
    lines = [LINES[0] + head, *(line + rows for line in LINES[1:])]
    report = read_file(text_file(tmp_path, lines_to_text(lines)))
    assert_holds(report, BARS)
    assert "; ".join(map(str, report.changes)) == ignored


def test_a_footer_is_refused_by_its_line(tmp_path):
    footers = ("Total,,,,,1", "Downloaded on 2024-01-01", "Provided as is,,,,,")
    for footer in footers:
        path = text_file(tmp_path, lines_to_text([*LINES, footer]))
        with pytest.raises(ValueError, match=rf"row at line {HOURS + 2}.*'{footer.split(',')[0]}"):
            read_file(path)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark(tmp_path, encoding):
    assert_holds(read_file(text_file(tmp_path, lines_to_text(LINES), encoding=encoding)), BARS)


@pytest.mark.parametrize(
    "zone", ["America/New_York", "Europe/London", "Europe/Berlin", "Asia/Tokyo", "Asia/Kolkata"]
)
@pytest.mark.parametrize("start", ["2023-03-05", "2023-10-22"])
def test_zones_by_name_and_by_letters(tmp_path, zone, start):
    expected = BARS.set_axis(pd.date_range(start, periods=HOURS, freq="h", tz="UTC"), axis=0)
    local = expected.index.tz_convert(zone)
    for form in ("%Y-%m-%d %H:%M %Z", f"%Y-%m-%d %I:%M %p {zone}"):
        path = text_file(
            tmp_path, expected.set_axis(local.strftime(form), axis=0).to_csv(index_label="time")
        )
        shown = local.strftime(form)
        if zone == "Asia/Kolkata" and "%Z" in form:
            with pytest.raises(ValueError, match="names the time zone IST, which is unknown or"):
                read_file(path)
        elif shown.has_duplicates:
            with pytest.raises(ValueError, match="falls into the change of clocks; 2 such"):
                read_file(path)
        else:
            assert_holds(read_file(path), expected)


def test_letters_that_were_not_on_the_clock_are_refused(tmp_path):
    """Some vendors write EST for New York's clock all the year round, others for UTC-5."""
    path = text_file(tmp_path, PLAIN.set_axis(ISO.str.replace("2022-01", "2022-07") + " EST")
                     .to_csv(index_label="time"))  # fmt: skip
    with pytest.raises(ValueError, match=r"line 2, .* says EST, which was not on the clocks of Am"):
        read_file(path)


def test_close_times_under_another_name_are_taken_back_to_the_open(tmp_path):
    for stamps in (
        BARS.index.as_unit("ms").asi8 + 3_599_999,
        (BARS.index + pd.Timedelta(seconds=3599)).strftime("%Y-%m-%d %H:%M:%S"),
    ):
        path = text_file(tmp_path, BARS.set_axis(stamps, axis=0).to_csv(index_label="timestamp"))
        assert_holds(read_file(path), BARS, "500 times of a bar's close taken back to its open")


def test_epochs_as_floats_in_parquet(tmp_path):
    table = BARS.reset_index(drop=True).assign(time=BARS.index.as_unit("ms").asi8.astype(float))
    table.to_parquet(tmp_path / "a.parquet")
    assert_holds(read_file(tmp_path / "a.parquet"), BARS, "epochs in ms")
    table.assign(time=table["time"] + 0.5).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="time has type double; write timestamps, ISO"):
        read_file(tmp_path / "a.parquet")


def test_rows_without_the_name_of_a_symbol_are_refused(tmp_path):
    table = PLAIN.assign(ticker=["SPY"] * 10 + [""] * (HOURS - 10))
    with pytest.raises(ValueError, match=r"line 12, ticker: '' names no symbol; 490 such"):
        read_file(text_file(tmp_path, table.to_csv(index_label="Date")))
    both = pd.concat([PLAIN, PLAIN * 2])
    with pytest.raises(ValueError, match=r"500 such pair\(s\).*, or give the rows of each symbol"):
        read_file(text_file(tmp_path, both.to_csv(index_label="Date")))


def test_volumes_of_zero_are_told_and_kept(tmp_path):
    table = PLAIN.assign(volume=np.where(np.arange(HOURS) % 100 == 7, 0.0, PLAIN["volume"]))
    report = read_file(text_file(tmp_path, table.to_csv(index_label="Date")))
    assert "a volume of 0 in 5 row(s), kept as it is" in told(report)
    assert not report.changes


def test_a_guessed_order_of_columns_is_named_when_a_bar_cannot_be(tmp_path):
    """Coinbase's candles: time, low, high, open, close, volume."""
    table = PLAIN.set_axis(BARS.index.as_unit("s").asi8, axis=0)
    table = table[["low", "high", "open", "close", "volume"]]
    with pytest.raises(ValueError, match=r"\(no header: columns read as timestamp, open, high,"):
        read_file(text_file(tmp_path, table.to_csv(header=False)))


@pytest.mark.parametrize("odd", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_odd_line_breaks_in_a_comment_cost_no_bar(tmp_path, odd):
    path = tmp_path / "a.csv"
    rows = "".join(f"2024-01-01T{hour:02}:00:00Z,10,12,9,11,5\n" for hour in range(20))
    head = f"# exported{odd}by x\ntimestamp,open,high,low,close,volume\n"
    path.write_text(head + rows, encoding="utf-8")
    assert len(read_file(path).bars) == 20
