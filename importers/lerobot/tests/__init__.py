"""The importer beside LeRobot: `./efm import --self-test`."""
