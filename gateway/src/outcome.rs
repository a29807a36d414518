//! How a call ends: one function, once, one outcome; the table of SIP statuses and Q.850 causes.
