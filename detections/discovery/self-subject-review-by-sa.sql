-- /// detection
-- title = "A workload's or a node's identity asked what it may do"
-- severity = "medium"
-- status = "stable"
-- attack = ["T1069.003", "T1613"]
-- section = [6, 1]
-- key = ["cluster", "who"]
-- suppress = "1d"
-- summary = "{who} asked what it may do on {cluster} ({resource}), from {client_ip} with {user_agent}"
--
-- description = """
-- A workload was written for what it may do and does not ask. kubectl auth can-i with the token of a pod or the
-- certificate of a node is how one looks around after a break-in. Controllers that check their rights at start are in
-- lists/permission_checkers.csv one by one; accounts of kube-system are not exempt, nor is a person who acts as a service
-- account. No body is needed. See from where the identity came and what it did next; delete its pod or node if it was not
-- a program of yours.
-- """
-- false_positives = [
--   "Operators that check their rights at start: add them to lists/permission_checkers.csv",
-- ]
-- follow_up = ["identity-timeline", "address-timeline", "tokens-created"]
-- ///

SELECT
    cluster,
    username,
    impersonated_username,
    coalesce(impersonated_username, username) AS who,
    resource,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb = 'create'
    AND resource IN ('selfsubjectrulesreviews', 'selfsubjectaccessreviews', 'selfsubjectreviews')
    AND regexp_like(coalesce(impersonated_username, username), '^system:(serviceaccount|node):')
    AND NOT listed('permission_checkers', coalesce(impersonated_username, username))
