-- /// detection
-- title = "Somebody deleted pods"
-- severity = "low"
-- status = "stable"
-- key = ["username"]
-- summary = "{username} deleted pods"
-- description = "Look who it was."
-- ///
INSERT INTO audit (username) VALUES ('x')
