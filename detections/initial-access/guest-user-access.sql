-- /// detection
-- title = "A guest of the directory used the cluster"
-- severity = "high"
-- status = "stable"
-- attack = ["T1078.004"]
-- section = [1]
-- categories = ["kube-audit"]
-- key = ["cluster", "username"]
-- suppress = "1d"
-- summary = "{username}, a guest of the directory, used {cluster} from {client_ip}: first {verb} {request_uri} ({status_code})"
--
-- description = """
-- A guest account lives in somebody else's directory: its password, its sign-in rules and its end of employment are not
-- yours, and inviting one is an old way to stay. Refused requests count. Guests whom AKS names by object id are not
-- recognised. No body is needed. Ask who invited the guest and why; list guests who belong there in
-- lists/allowed_guests.csv, remove the others from the cluster's groups.
-- """
-- false_positives = [
--   "Consultants from another company: add them to lists/allowed_guests.csv",
-- ]
-- follow_up = ["identity-timeline", "address-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    request_uri,
    status_code,
    client_ip,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND username LIKE '%#EXT#%'
    AND NOT listed('allowed_guests', username)
