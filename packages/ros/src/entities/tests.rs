#![allow(clippy::unwrap_used)]
use super::*;
use r2r::std_msgs::msg::String as Text;
use r2r::std_srvs::srv::Trigger;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

/// One for all tests: they run side by side, and a process initialises its logs once.
fn context() -> Arc<Context> {
    static CONTEXT: OnceLock<Arc<Context>> = OnceLock::new();
    CONTEXT.get_or_init(|| Context::create(["test".to_owned()]).unwrap()).clone()
}

fn reliable() -> QosProfile {
    QosProfile::default().keep_last(50)
}

fn text(data: impl ToString) -> Text {
    Text { data: data.to_string() }
}

/// Waits until somebody subscribes: what is published before is for nobody.
fn wait_for_a_subscriber(publisher: &PublisherHandle) {
    let end = Instant::now() + PATIENCE;
    while publisher.subscribers() == 0 {
        assert!(Instant::now() < end, "nobody subscribes");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn next<T>(heard: &Receiver<T>) -> T {
    heard.recv_timeout(PATIENCE).unwrap()
}

#[test]
fn every_message_of_a_reliable_topic_arrives_in_order_without_anybody_spinning() {
    let (mut speaker, mut listener) =
        (Entities::create(context(), "speaker").unwrap(), Entities::create(context(), "listener").unwrap());
    let said = speaker.advertise::<Text>("in_order", reliable()).unwrap();
    let (sender, heard) = channel();
    listener
        .subscribe::<Text>("in_order", reliable(), move |message, _, _| sender.send(message.data).unwrap())
        .unwrap();
    wait_for_a_subscriber(&said);
    for k in 0..200 {
        said.publish(&text(k)).unwrap();
        assert_eq!(next(&heard), k.to_string());
    }
    // From several threads at once: nothing is lost, whoever takes.
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let said = &said;
            scope.spawn(move || (0..10).for_each(|k| said.publish(&text(10 * thread + k)).unwrap()));
        }
    });
    let mut all: Vec<u32> = (0..40).map(|_| next(&heard).parse().unwrap()).collect();
    all.sort_unstable();
    assert_eq!(all, (0..40).collect::<Vec<_>>());
}

#[test]
fn what_was_said_before_somebody_listened_is_heard_where_it_is_latched() {
    let (mut speaker, mut listener) =
        (Entities::create(context(), "early").unwrap(), Entities::create(context(), "late").unwrap());
    let latched = || QosProfile::default().keep_last(1).transient_local();
    let said = speaker.advertise::<Text>("latched", latched()).unwrap();
    said.publish(&text("holds")).unwrap();
    let (sender, heard) = channel();
    listener.subscribe::<Text>("latched", latched(), move |message, _, _| sender.send(message.data).unwrap()).unwrap();
    assert_eq!(next(&heard), "holds");
}

#[test]
fn bytes_come_as_they_were_given_and_their_memory_is_used_again() {
    let mut node = Entities::create(context(), "bytes").unwrap();
    let said = node.advertise::<Text>("bytes", reliable()).unwrap();
    let (sender, heard) = channel();
    let each = move |bytes: Bytes, _, _| sender.send(bytes).unwrap();
    node.subscribe_bytes("bytes", "std_msgs/msg/String", reliable(), each).unwrap();
    wait_for_a_subscriber(&said);
    // CDR: little endian, six bytes with the zero.
    let hello = [&[0, 1, 0, 0, 6, 0, 0, 0], &b"hello\0"[..]].concat();
    let mut places = std::collections::BTreeSet::new();
    for _ in 0..20 {
        said.publish_bytes(&hello).unwrap();
        let bytes = next(&heard);
        assert_eq!(bytes[..hello.len()], hello);
        places.insert(bytes.as_ptr());
    }
    assert!(places.len() <= SPARE, "{places:?}");
    // Kept for longer, messages have memory of their own.
    let kept: Vec<Bytes> = (0..2 * SPARE)
        .map(|_| {
            said.publish_bytes(&hello).unwrap();
            next(&heard)
        })
        .collect();
    let places: std::collections::BTreeSet<_> = kept.iter().map(|bytes| bytes.as_ptr()).collect();
    assert_eq!(places.len(), kept.len());
}

#[test]
fn an_unknown_type_is_told_by_name() {
    let mut node = Entities::create(context(), "unknown").unwrap();
    assert!(node.knows("std_msgs/msg/String") && !node.knows("no_such_msgs/msg/Thing"));
    let error = node.subscribe_bytes("x", "no_such_msgs/msg/Thing", reliable(), |_, _, _| ()).unwrap_err().to_string();
    assert!(error.contains("'x'") && error.contains("no_such_msgs/msg/Thing is not installed"), "{error}");
    let error = node.advertise::<Text>("not a name", reliable()).unwrap_err().to_string();
    assert!(error.contains("cannot advertise 'not a name'"), "{error}");
}

#[test]
fn once_the_node_is_gone_what_is_left_of_it_says_so_and_nothing_comes_any_more() {
    let mut speaker = Entities::create(context(), "stays").unwrap();
    let said = speaker.advertise::<Text>("after", reliable()).unwrap();
    let mut node = Entities::create(context(), "goes").unwrap();
    let (sender, heard) = channel();
    node.subscribe::<Text>("after", reliable(), move |message, _, _| sender.send(message.data).unwrap()).unwrap();
    let own = node.advertise::<Text>("own", reliable()).unwrap();
    wait_for_a_subscriber(&said);
    // It goes while messages come.
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                said.publish(&text("more")).unwrap();
            }
        });
        next(&heard);
        drop(node);
        stop.store(true, Ordering::Relaxed);
    });
    while heard.try_recv().is_ok() {}
    assert!(heard.recv_timeout(Duration::from_millis(50)).is_err(), "the subscription is over");
    let error = own.publish(&text("x")).unwrap_err();
    assert_eq!(error.reason(), GONE);
    assert_eq!(own.subscribers(), 0);
}

#[test]
fn requests_are_handed_over_and_answered_from_another_thread() {
    // The client is r2r's: another implementation of the other side.
    let mut server = Entities::create(context(), "server").unwrap();
    let (sender, requests) = channel();
    server.offer::<Trigger::Service>("ask", QosProfile::services_default(), move |r| sender.send(r).unwrap()).unwrap();
    let mut node = r2r::Node::create(r2r::Context::create().unwrap(), "client", "").unwrap();
    let client = node.create_client::<Trigger::Service>("ask", QosProfile::services_default()).unwrap();
    let available = r2r::Node::is_available(&client).unwrap();
    let spinning = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let going = spinning.clone();
    let spinner = std::thread::spawn(move || {
        while going.load(Ordering::Relaxed) {
            node.spin_once(Duration::from_millis(10));
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answered = runtime.block_on(async {
        tokio::time::timeout(PATIENCE, available).await.unwrap().unwrap();
        let answer = client.request(&Trigger::Request {}).unwrap();
        let responder = std::thread::spawn(move || {
            next(&requests).respond(Trigger::Response { success: true, message: "heard".to_owned() }).unwrap();
            requests
        });
        let answer = tokio::time::timeout(PATIENCE, answer).await.unwrap().unwrap();
        (answer, responder.join().unwrap())
    });
    assert!(answered.0.success && answered.0.message == "heard");
    spinning.store(false, Ordering::Relaxed);
    spinner.join().unwrap();
}

/// Waits until the graph shows what is wanted.
fn until<T>(mut found: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < end, "the graph does not show it");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_message_names_its_sender_as_the_graph_and_the_publisher_itself_do() {
    let args = ["test", "--ros-args", "-r", "__ns:=/left", "-r", "who:=somebody"].map(str::to_owned);
    let left = Context::create(args).unwrap();
    let (a, mut b) = (Entities::create(left.clone(), "a").unwrap(), Entities::create(context(), "b").unwrap());
    let (mut a, mut listener) = (a, Entities::create(left, "listener").unwrap());
    // `a` publishes twice; `b` is in another namespace and has the same topic by its full name.
    let said = [
        a.advertise::<Text>("who", reliable()).unwrap(),
        a.advertise::<Text>("who", reliable()).unwrap(),
        b.advertise::<Text>("/left/somebody", reliable()).unwrap(),
    ];
    let (sender, heard) = channel();
    listener.subscribe::<Text>("who", reliable(), move |m, from, _| sender.send((m.data, from)).unwrap()).unwrap();
    let (sender, raw) = channel();
    let each = move |_: Bytes, from, _| sender.send(from).unwrap();
    listener.subscribe_bytes("who", "std_msgs/msg/String", reliable(), each).unwrap();
    for (k, said) in said.iter().enumerate() {
        until(|| (said.subscribers() == 2).then_some(()));
        said.publish(&text(k)).unwrap();
        assert_eq!(next(&heard), (k.to_string(), said.sender()));
        assert_eq!(next(&raw), said.sender());
    }
    let graph = listener.graph().clone();
    let named = || {
        let mut found = graph.publishers_of("who");
        (found.len() == 3 && found.iter().all(|e| !e.node.is_empty())).then(|| {
            found.sort_by(|a, b| a.node.cmp(&b.node));
            found
        })
    };
    let found = until(named);
    assert_eq!(found.iter().map(|e| e.node.as_str()).collect::<Vec<_>>(), ["/b", "/left/a", "/left/a"]);
    let of_a = [found[1].sender, found[2].sender];
    assert!(found[0].sender == said[2].sender() && of_a.contains(&said[0].sender()));
    assert!(of_a.contains(&said[1].sender()) && said[0].sender() != said[1].sender());
    assert_eq!(graph.name_of("who", said[1].sender()), "node '/left/a'");
    assert_eq!(graph.full_name("who"), "/left/somebody");
    assert_eq!(graph.subscriptions_of("who").len(), 2);
    assert!(graph.publishers_of("not a name").is_empty());
    // One that has gone is not on the graph any more, and has no name.
    let gone = said[2].sender();
    drop(b);
    until(|| (graph.publishers_of("who").len() == 2).then_some(()));
    assert!(graph.name_of("who", gone).contains(&gone.to_string()));
    // The handle may outlive its node.
    drop(listener);
    assert!(graph.publishers_of("who").is_empty());
}

#[test]
fn a_topic_that_everyone_is_heard_on_is_heard_of_every_kind_of_publisher_once_each() {
    let mut node = Entities::create(context(), "hears_all").unwrap();
    let kinds = || {
        let reliable = || QosProfile::default().keep_last(10);
        [reliable().best_effort(), reliable(), reliable().transient_local()]
    };
    // The latched one speaks before there is anybody to hear it.
    let early = node.advertise::<Text>("all", kinds()[2].clone()).unwrap();
    early.publish(&text("early")).unwrap();
    let (sender, heard) = channel();
    let all = crate::qos::emergency_input();
    node.subscribe::<Text>("all", all, move |m, from, _| sender.send((m.data, from)).unwrap()).unwrap();
    assert_eq!(next(&heard), ("early".to_owned(), early.sender()));
    let said = kinds().map(|qos| node.advertise::<Text>("all", qos).unwrap());
    for (k, said) in said.iter().enumerate() {
        // One subscription for each kind that it can be matched with.
        until(|| (said.subscribers() == k + 1).then_some(()));
        for message in 0..20 {
            let words = format!("{k} {message}");
            said.publish(&text(&words)).unwrap();
            assert_eq!(next(&heard), (words, said.sender()), "each once, and none is lost");
        }
    }
    assert!(heard.recv_timeout(Duration::from_millis(200)).is_err(), "copies do not count");
}

#[test]
fn what_is_not_matched_is_told_by_topic_policy_and_node_until_it_is_gone() {
    let mut us = Entities::create(context(), "us").unwrap();
    // A participant of its own, which may have another type on the same topic.
    let mut other = Entities::create(Context::create(["test".to_owned()]).unwrap(), "other").unwrap();
    let (reliable, quick) = (reliable(), reliable().best_effort());
    us.subscribe::<Text>("asks", reliable.clone(), |_, _, _| ()).unwrap();
    let _ours = us.advertise::<Text>("offers", quick.clone()).unwrap();
    us.subscribe::<Text>("fine", quick.clone(), |_, _, _| ()).unwrap();
    us.subscribe::<Text>("kind", reliable.clone(), |_, _, _| ()).unwrap();
    let health = crate::Diagnostics::new("us", "test");
    let (task, mut watch) = (health.task("connections"), crate::connections::Watch::new(us.connections().clone()));
    let mut look = || {
        watch.look(&task);
        let status = health.message(efm_core::Stamp::ZERO).status.remove(0);
        (status.level, status.message)
    };
    assert_eq!(look().0, 0);
    let _theirs = other.advertise::<Text>("asks", quick).unwrap();
    let _fine = other.advertise::<Text>("fine", reliable.clone()).unwrap();
    other.subscribe::<Text>("offers", reliable.clone(), |_, _, _| ()).unwrap();
    let _kind = other.advertise::<r2r::std_msgs::msg::Bool>("kind", reliable).unwrap();
    let told = until(|| Some(look()).filter(|(_, told)| told.matches("node '/other'").count() == 3));
    assert_eq!(told.0, 1);
    for words in ["'/asks'", "'/offers'", "policy reliability", "'/kind'", "std_msgs/msg/Bool"] {
        assert!(told.1.contains(words), "{words}: {}", told.1);
    }
    assert!(!told.1.contains("fine"), "{}", told.1);
    drop(other);
    until(|| (look().0 == 0).then_some(()));
}

/// Bytes of a String message that say that they hold so many characters.
fn claimed(length: u32, characters: &[u8]) -> Vec<u8> {
    [&[0, 1, 0, 0][..], &length.to_le_bytes(), characters].concat()
}

#[test]
fn what_is_larger_than_its_bound_is_not_read_and_what_follows_is() {
    for everyone in [false, true] {
        let topic = if everyone { "bounded_all" } else { "bounded" };
        let hearing = || match everyone {
            true => crate::qos::event_input().at_most(1000),
            false => Hearing::from(reliable()).at_most(1000),
        };
        let mut speaker = Entities::create(context(), "loud").unwrap();
        let mut listener = Entities::create(context(), "bounded").unwrap();
        let said = speaker.advertise::<Text>(topic, reliable()).unwrap();
        let (sender, heard) = channel();
        let (byte_sender, heard_bytes) = channel();
        let each = move |message: Text, _, bytes| sender.send((message.data, bytes)).unwrap();
        listener.subscribe::<Text>(topic, hearing(), each).unwrap();
        let each = move |bytes: Bytes, _, _| byte_sender.send(bytes.len()).unwrap();
        listener.subscribe_bytes(topic, "std_msgs/msg/String", hearing(), each).unwrap();
        let end = Instant::now() + PATIENCE;
        let subscriptions = if everyone { 4 } else { 2 };
        while said.subscribers() < subscriptions {
            assert!(Instant::now() < end, "{} subscriptions", said.subscribers());
            std::thread::sleep(Duration::from_millis(5));
        }
        for k in 0..4 {
            said.publish(&text("x".repeat(20_000))).unwrap();
            said.publish(&text(k)).unwrap();
            // Encapsulation, length, character, zero.
            assert_eq!(next(&heard), (k.to_string(), 10));
            assert_eq!(next(&heard_bytes), 10);
        }
        let told = listener.unread().told().join("; ");
        assert!(
            told.contains(topic) && told.contains("8 messages were too large") && told.contains("at most 1000"),
            "{told}"
        );
    }
}

#[test]
fn bytes_that_are_no_message_of_their_type_are_left_out_and_counted() {
    let (mut speaker, mut listener) =
        (Entities::create(context(), "liar").unwrap(), Entities::create(context(), "sceptic").unwrap());
    let said = speaker.advertise::<Text>("claims", reliable()).unwrap();
    let (sender, heard) = channel();
    let each = move |message: Text, _, _| sender.send(message.data).unwrap();
    listener.subscribe::<Text>("claims", reliable(), each).unwrap();
    wait_for_a_subscriber(&said);
    for lie in [claimed(0x7fff_ffff, b"a\0"), claimed(u32::MAX, b""), claimed(100, b"abc\0"), vec![0, 1, 0, 0]] {
        said.publish_bytes(&lie).unwrap();
    }
    said.publish(&text("true")).unwrap();
    assert_eq!(next(&heard), "true");
    let told = listener.unread().told().join("; ");
    assert!(told.contains("4 messages were no messages of its type"), "{told}");
}
