"""The demo game of `make run`: its data, and a page on which a visitor plays a journey from the ad to the game.

The page exists only while all networks and Steam are imitations on this machine.
"""
