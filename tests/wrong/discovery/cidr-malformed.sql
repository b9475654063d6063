-- /// detection
-- title = "Somebody deleted pods"
-- severity = "low"
-- status = "stable"
-- key = ["username"]
-- summary = "{username} deleted pods"
-- description = "Look who it was."
-- ///
SELECT username
FROM audit
WHERE cidr_match(client_ip, '10.0.0/8')
