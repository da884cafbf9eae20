# Uploads as Python's http.client does: the whole body first, the answer afterwards.
import http.client
import sys

host, file, answer = sys.argv[1:]
connection = http.client.HTTPConnection(host, timeout=4)
with open(file, "rb") as body:
    connection.request("POST", "/", body)
response = connection.getresponse()
with open(answer, "wb") as out:
    out.write(response.read())
print(response.status)
