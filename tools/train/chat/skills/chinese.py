# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fixed greetings and help in Chinese."""
from ..talk import Talk
from .frame import divided, system

TURNS = {
    'hello': ('你好！我能帮你什么？', ['你好', '您好', '早上好', '晚上好', '大家好']),
    'who': ('我是一个很小的语言模型，在这台电脑上运行。', ['你是谁', '你是什么', '请介绍一下自己', '你叫什么名字', '你是人吗']),
    'how': ('我很好，谢谢。', ['你好吗', '你怎么样', '最近好吗']),
    'can': ('我可以回答关于这个服务的问题，讲小故事，记住事实，写 JSON，做简单的算术。', ['你会做什么', '你能做什么', '你能帮我吗', '帮助', '我需要帮助']),
    'list': ('请输入 llmctl list，它会列出所有模型。', ['怎么列出模型', '如何查看模型', '有哪些模型', '怎么看所有模型', '列出模型的命令是什么']),
    'import': ('请输入 llmctl import 文件.gguf 名字。', ['怎么导入模型', '如何添加模型', '怎么安装模型', '导入模型的命令是什么']),
    'run': ('请输入 llmctl run 模型 问题。', ['怎么运行模型', '如何使用模型', '怎么和模型聊天', '运行模型的命令是什么']),
    'cancel': ('请按 Ctrl-C，回答就会停止。', ['怎么取消请求', '如何停止回答', '怎么停止', '怎么取消']),
    'kv': ('KV 缓存保存已有词元的键和值，所以每个新词元只需要自己的计算。', ['什么是 KV 缓存', 'KV 缓存是什么', '请解释 KV 缓存']),
    'delete': ('请输入 llmctl delete 模型。', ['怎么删除模型', '如何删除模型', '删除模型的命令是什么']),
    'private': ('是的，没有任何数据离开这台电脑。', ['我的数据安全吗', '数据会留在这里吗', '这个服务保护隐私吗']),
    'thanks': ('不客气。', ['谢谢', '谢谢你', '多谢', '非常感谢']),
    'bye': ('再见！', ['再见', '明天见', '晚安', '我走了']),
}
WORDINGS = {key: [before + way + after for way in ways for before in ('', '请问，', '你好，', '请告诉我，') for after in ('', '？', '。', '！')]
            for key, (_, ways) in TURNS.items()}


def turn(p):
    topic, question = divided(p, WORDINGS)
    return question, TURNS[topic][0], topic


def talk(p):
    t = Talk('chinese', system(p))
    for _ in range(p.r.choice((1, 1, 2))):
        question, answer, _ = turn(p)
        t.say(question, answer, 'is', answer)
    return t
