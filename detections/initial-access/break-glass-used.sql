-- /// detection
-- title = "An emergency account was used"
-- severity = "high"
-- status = "stable"
-- attack = ["T1078"]
-- section = [1]
-- categories = ["kube-audit"]
-- key = ["cluster", "username"]
-- suppress = "1d"
-- summary = "{username}, an emergency account or member of an emergency group, used {cluster} from {client_ip}: first {verb} {request_uri} ({status_code})"
--
-- description = """
-- An emergency account passes conditional access and is used when everything else fails, a few times a year, with
-- somebody told. Needs lists/break_glass.csv: accounts by name, groups by object id between stars, since the groups are
-- compared as one text; silent until it is filled. Refused requests count. The local admin is
-- local-admin-account-used's. No body is needed. Ask for the incident it was used for; if there is none, disable the
-- account.
-- """
-- false_positives = [
--   "Drills",
-- ]
-- follow_up = ["identity-timeline"]
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
    AND principal_class IN ('entra-user', 'entra-app', 'other')
    AND (
        listed('break_glass', username)
        OR listed('break_glass', array_to_string(groups, ' '))
    )
