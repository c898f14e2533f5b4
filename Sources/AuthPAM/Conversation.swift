import CLinux
import CPAM
import Glibc

/// What PAM's modules are told when they ask, and what they want in return.
struct Conversation {
    /// The answer to questions that show what is typed: nobody but a user's name is asked for so.
    let user: UnsafePointer<CChar>
    /// The answer to questions that hide it.
    let password: UnsafePointer<CChar>
    /// Microseconds to wait after a failure. The proxy does it, so that nothing stands still here.
    var delay: UInt32 = 0

    /// Runs `body` with PAM's view of this conversation, which is good for that long.
    mutating func withPAM<Result>(_ body: (UnsafePointer<pam_conv>) -> Result) -> Result {
        withUnsafeMutablePointer(to: &self) { own in
            var functions = pam_conv(
                conv: { count, messages, responses, own in
                    Conversation.answer(count, messages, responses, own?.assumingMemoryBound(to: Conversation.self))
                },
                appdata_ptr: own)
            return withUnsafePointer(to: &functions) { body($0) }
        }
    }

    /// Takes note of the pause instead of making it (`PAM_FAIL_DELAY`).
    static let noteDelay: @convention(c) (Int32, UInt32, UnsafeMutableRawPointer?) -> Void = { _, delay, own in
        own?.assumingMemoryBound(to: Conversation.self).pointee.delay = delay
    }

    private static func answer(
        _ count: Int32, _ messages: UnsafeMutablePointer<UnsafePointer<pam_message>?>?,
        _ responses: UnsafeMutablePointer<UnsafeMutablePointer<pam_response>?>?,
        _ conversation: UnsafeMutablePointer<Conversation>?
    ) -> Int32 {
        guard let messages, let responses, let conversation = conversation?.pointee, count > 0, count <= PAM_MAX_NUM_MSG
        else { return PAM_CONV_ERR }
        // The modules free it, and each text in it.
        guard let memory = calloc(Int(count), MemoryLayout<pam_response>.stride) else { return PAM_BUF_ERR }
        let answers = memory.bindMemory(to: pam_response.self, capacity: Int(count))
        for index in 0..<Int(count) {
            switch messages[index]?.pointee.msg_style {
            case PAM_PROMPT_ECHO_OFF: answers[index].resp = strdup(conversation.password)
            case PAM_PROMPT_ECHO_ON: answers[index].resp = strdup(conversation.user)
            case PAM_TEXT_INFO, PAM_ERROR_MSG: continue
            default:
                discard(answers, count: Int(count))
                return PAM_CONV_ERR
            }
            if answers[index].resp == nil {
                discard(answers, count: Int(count))
                return PAM_BUF_ERR
            }
        }
        responses.pointee = answers
        return PAM_SUCCESS
    }

    private static func discard(_ answers: UnsafeMutablePointer<pam_response>, count: Int) {
        for index in 0..<count {
            guard let text = answers[index].resp else { continue }
            linux_wipe(text, strlen(text))
            free(text)
        }
        free(answers)
    }
}
