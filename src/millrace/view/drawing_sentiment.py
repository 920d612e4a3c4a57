"""The page of sentiment, drawn: shares over time, hashtags, newest posts, and posts without a label."""

import streamlit as st
from streamlit.column_config import NumberColumn

from millrace.view import charts, health, parts, sentiment


def draw(url: str) -> bool:
    """Draw what ClickHouse holds; returns whether there was anything."""
    if not (sources := sentiment.sources(url)):
        return False
    source = parts.choose("source", sources, "sentiment-source")
    errors, lag = sentiment.errors(url, source), sentiment.lag(url, source)
    parts.figures(
        {
            "model lag": "not known" if lag is None else health.span(max(lag, 0.0)),
            "without a label, last hour": f"{errors['posts'].sum():,.0f}",
        }
    )
    shares = sentiment.minutes(url, source)
    if shares.empty:
        st.info("No post of the last hour has a label.")
    else:
        st.vega_lite_chart(shares, charts.shares("Share of each label a minute"), key="sentiment-shares")
        parts.until(shares["window_start"], "Of the posts with a label;", "the newest minute began at")
    tags = sentiment.hashtags(url, source)
    if len(tags):
        st.subheader("Hashtags")
        balance = NumberColumn("balance", format="%+.2f", help="(positive - negative) / posts with a label")
        parts.grid(tags, "Hashtags by posts", {"balance": balance})
    st.subheader("Newest posts")
    parts.grid(sentiment.posts(url, source), "Newest posts", {"score": NumberColumn("score", format="%.2f")})
    if len(errors):
        st.subheader("Without a label, by reason")
        parts.grid(errors, "Posts without a label, by reason")
    return True
