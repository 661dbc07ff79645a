//! Promise: the typed commands for consumer groups work as on a connection to a server.

use redis::streams::{
    StreamAutoClaimOptions, StreamAutoClaimReply, StreamClaimReply, StreamInfoConsumersReply, StreamInfoGroupsReply,
    StreamPendingCountReply, StreamPendingReply, StreamReadOptions, StreamReadReply,
};
use redis::{Commands, ConnectionLike, RedisResult};

use crate::connections;

#[test]
fn a_group_hands_out_entries_until_they_are_acknowledged() {
    for mut connection in connections() {
        hand_out(&mut connection).unwrap();
    }
}

fn hand_out<C: ConnectionLike>(connection: &mut C) -> RedisResult<()> {
    let _: String = connection.xgroup_create_mkstream("s", "g", "0")?;
    let again = connection.xgroup_create::<_, _, _, String>("s", "g", "0").unwrap_err();
    assert_eq!(again.code(), Some("BUSYGROUP"));
    for id in ["1-1", "1-2", "1-3"] {
        let _: String = connection.xadd("s", id, &[("number", id)])?;
    }

    let alice = StreamReadOptions::default().group("g", "alice").count(2);
    let reply: StreamReadReply = connection.xread_options(&["s"], &[">"], &alice)?;
    assert_eq!(reply.keys[0].ids.iter().map(|entry| entry.id.as_str()).collect::<Vec<_>>(), ["1-1", "1-2"]);
    assert_eq!(reply.keys[0].ids[0].get::<String>("number").as_deref(), Some("1-1"));
    assert_eq!(connection.xack("s", "g", &["1-1", "9-9"]), Ok(1));

    let pending: StreamPendingReply = connection.xpending("s", "g")?;
    assert_eq!(pending.count(), 1);
    let pending: StreamPendingCountReply = connection.xpending_count("s", "g", "-", "+", 10)?;
    assert_eq!((pending.ids[0].id.as_str(), pending.ids[0].times_delivered), ("1-2", 1));

    let claimed: StreamClaimReply = connection.xclaim("s", "g", "bob", 0, &["1-2"])?;
    assert_eq!(claimed.ids[0].id, "1-2");
    let options = StreamAutoClaimOptions::default().count(10);
    let claimed: StreamAutoClaimReply = connection.xautoclaim_options("s", "g", "carol", 0, "0-0", options)?;
    assert_eq!((claimed.next_stream_id.as_str(), claimed.claimed[0].id.as_str()), ("0-0", "1-2"));

    let consumers: StreamInfoConsumersReply = connection.xinfo_consumers("s", "g")?;
    let consumers: Vec<_> = consumers.consumers.iter().map(|each| (each.name.as_str(), each.pending)).collect();
    assert_eq!(consumers, [("alice", 0), ("bob", 0), ("carol", 1)]);
    let groups: StreamInfoGroupsReply = connection.xinfo_groups("s")?;
    assert_eq!((groups.groups[0].last_delivered_id.as_str(), groups.groups[0].pending), ("1-2", 1));
    assert_eq!(connection.xgroup_delconsumer("s", "g", "carol"), Ok(1));
    assert_eq!(connection.xgroup_destroy("s", "g"), Ok(true));
    Ok(())
}
