-- /// detection
-- title = "Secrets could not be encrypted or decrypted"
-- severity = "high"
-- status = "shadow"
-- attack = ["T1486"]
-- section = [4, 6]
-- categories = ["kube-apiserver"]
-- key = ["cluster"]
-- suppress = "1h"
-- summary = "The API server of {cluster} cannot use its encryption key: {message}"
--
-- description = """
-- With KMS the API server needs a key in Key Vault to read and write every secret: a key that was disabled, deleted or
-- rotated wrongly, or a vault that was closed, stops the cluster, and who holds the key holds the cluster to ransom.
-- The texts are those of the API server's source; that AKS forwards them in this category is not confirmed on a live
-- cluster, therefore shadow: counted, not sent. There is no body to read. Look at the vault's firewall, the key and
-- its versions, and at who changed them.
-- """
-- false_positives = [
--   "A firewall of the vault, or a rotation that is under way",
-- ]
-- follow_up = ["control-plane-errors"]
-- ///

SELECT
    cluster,
    left(message, 500) AS message,
    component
FROM control_plane
WHERE
    category = 'kube-apiserver'
    AND regexp_like(lower(message), 'kms.*(failed|error)|failed to (encrypt|decrypt)|unable to transform key')
