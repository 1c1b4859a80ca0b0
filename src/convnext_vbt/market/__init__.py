"""Bars: what the market did, validated once and trusted afterwards."""
