#!/bin/sh
# Fetches Apache Kafka's jars into .kafka/libs with the machine's own Maven. Without java or mvn it says so and goes on:
# the tests then use the embedded broker, and those that judge real Kafka are skipped by name.
set -eu
cd "$(dirname "$0")/../.."
[ -f .kafka/libs/.complete ] && exit 0
for tool in java mvn; do
  if ! command -v "$tool" >/dev/null 2>&1; then
    echo "make kafka: no '$tool' on this machine, so real Kafka is left out (install a JDK 17+ and Maven to include it)"
    exit 0
  fi
done
echo "make kafka: fetching Apache Kafka 4.1.1 (43 MB) with Maven"
mkdir -p .kafka/libs
if mvn -q -B -f deploy/kafka/pom.xml dependency:copy-dependencies -DoutputDirectory="$PWD/.kafka/libs"; then
  touch .kafka/libs/.complete
else
  echo "make kafka: Maven could not fetch it, so real Kafka is left out; see the lines above, then run 'make kafka' again"
fi
