"""What the tests of every level share: real servers, started for one test, and clients that wait for events."""
