/// Is called once at the end of a turn of the loop (``LoopThread/callAtTurnEnd(_:)``).
public protocol TurnTarget: AnyObject {
    /// The loop is about to sleep.
    func turnEnds()
}
